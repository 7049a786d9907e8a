//! Parses one page of a bucket's list: checks that it is safe to read, then leaves the reading to the S3 crate.

use rusty_s3::actions::ListObjectsV2;
use rusty_s3::actions::list_objects_v2::ListObjectsContent;

use crate::source::backup::files::NamedFile;
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::time;

/// We request a thousand. A service may send more, but in memory each object is larger than on the page.
const MOST_OBJECTS: usize = 10_000;

/// The only namespace we read; some services send another one, or none.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The objects of a page, and the token of the next one.
pub struct ObjectPage {
    pub objects: Vec<NamedFile>,
    pub next: Option<String>,
    /// Objects without a readable name, size or time.
    pub malformed: u64,
}

/// Reads a page. Errors never repeat any of it, because a service could send our signature back.
///
/// # Errors
/// The bytes are not a page, or it is cut off: an object missing from a list must not count as deleted.
pub fn parse(bytes: &[u8]) -> Result<ObjectPage, BackupProblem> {
    let garbage = |what| BackupReason::Garbage.because(what);
    let text = str::from_utf8(bytes).unwrap_or_default();
    let list = text.split_once("<ListBucketResult").and_then(|(_, list)| list.split_once('>'));
    let (_, list) =
        list.ok_or_else(|| garbage("this is not an S3-compatible service: it sends no ListBucketResult"))?;
    let objects = list.matches("<Contents").count();
    if objects > MOST_OBJECTS {
        let message = format!("more than {MOST_OBJECTS} objects on a page; the request was for 1,000");
        return Err(BackupReason::TooLarge.because(message));
    }
    if !is_plain(list) {
        return Err(garbage("the list has control characters, comments or instructions in it"));
    }
    // The reader would take the end of the text for the end of the list, and skip elements of another namespace.
    let is_whole = list.trim_end().ends_with("</ListBucketResult>");
    let read = ListObjectsV2::parse_response(&format!("<ListBucketResult xmlns=\"{NAMESPACE}\">{list}"));
    let read = read.ok().filter(|read| is_whole && read.contents.len() == objects).ok_or_else(|| {
        garbage("the list is cut off or broken, or has no continuation token: is it a list of version 2?")
    })?;
    let named: Vec<_> = read.contents.into_iter().filter_map(named).collect();
    Ok(ObjectPage { malformed: (objects - named.len()) as u64, objects: named, next: read.next_continuation_token })
}

/// Returns whether the list is free of text that an error of the reader would repeat at many times its length.
fn is_plain(list: &str) -> bool {
    let is_plain = |byte: u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    list.bytes().all(is_plain) && !list.contains("<?") && !list.contains("<!")
}

fn named(object: ListObjectsContent) -> Option<NamedFile> {
    let changed = time::parse(&object.last_modified?)?;
    Some(NamedFile { name: object.key, size: object.size? as f64, changed })
}

/// The code of an error, a word such as `NoSuchBucket`; empty if it has none.
pub fn code(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let code = text.split_once("<Code>").and_then(|(_, after)| after.split_once('<')).map_or("", |(code, _)| code);
    let is_word = code.len() < 100 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { code.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OBJECT: &str =
        "<Contents><Key>a</Key><LastModified>2026-11-21T12:54:20.000Z</LastModified><Size>7</Size></Contents>";

    fn list(inside: &str) -> String {
        format!("<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"{NAMESPACE}\">{inside}</ListBucketResult>")
    }

    fn names(text: &str) -> Option<Vec<String>> {
        Some(parse(text.as_bytes()).ok()?.objects.into_iter().map(|object| object.name).collect())
    }

    #[test]
    fn a_page_is_read() {
        let text = list(
            "<Name>b</Name><Prefix>p/</Prefix><EncodingType>url</EncodingType><MaxKeys>1000</MaxKeys>\
             <Contents><Key>p/a%26b+%41ä</Key><LastModified>2026-11-21T12:54:20.000Z</LastModified><ETag>&quot;x&quot;</ETag>\
             <Size>7</Size><StorageClass>STANDARD</StorageClass><Owner><ID>1</ID></Owner><New>x</New></Contents>\
             <Contents><Key>p/malformed</Key><LastModified>some day</LastModified><Size>7</Size></Contents>\
             <Contents><Key>p/malformed</Key><LastModified>2026-11-21T12:54:20.000Z</LastModified></Contents>\
             <IsTruncated>true</IsTruncated><NextContinuationToken>t&lt;</NextContinuationToken>",
        );
        let page = parse(text.as_bytes()).expect("a page");
        let objects: Vec<_> =
            page.objects.iter().map(|object| (object.name.as_str(), object.size, object.changed)).collect();
        assert_eq!(objects, [("p/a&b Aä", 7.0, 1795265660.0)]);
        assert_eq!((page.next.as_deref(), page.malformed), (Some("t<"), 2));
        for cut in [text.replace("NextContinuationToken", "NextMarker"), text.replace("</ListBucketResult>", "")] {
            assert!(parse(cut.as_bytes()).is_err(), "{cut}");
        }
        for end in 0..text.len() {
            assert!(parse(&text.as_bytes()[..end]).is_err(), "half a list is none");
        }
        assert_eq!(code(b"<Error><Code>NoSuchBucket</Code></Error>"), "NoSuchBucket");
    }

    #[test]
    fn namespaces_and_encodings_of_other_services_are_read() {
        let plain = |name: &str| OBJECT.replace(">a<", &format!(">{name}<"));
        for (text, expected) in [
            (list(&plain("a&amp;b&#x41;&#65;")), "a&bAA"),
            (list(&plain("a+b%20c")), "a+b%20c"),
            (list(&format!("<EncodingType>url</EncodingType>{}", plain("a%ff"))), "a%ff"),
            (list(OBJECT).replace(NAMESPACE, "http://doc.s3.amazonaws.com/2006-03-01"), "a"),
            (list(OBJECT).replace(&format!("\"{NAMESPACE}\""), "'other'"), "a"),
            (list(OBJECT).replace(&format!(" xmlns=\"{NAMESPACE}\""), ""), "a"),
            (list(OBJECT).replace("<?xml version=\"1.0\"?>\n", "\u{feff}"), "a"),
        ] {
            assert_eq!(names(&text), Some(vec![expected.to_owned()]), "{text}");
        }
        assert_eq!(names(&list("")), Some(vec![]));
    }

    #[test]
    fn a_text_that_is_not_a_list_is_refused() {
        for text in [
            "",
            "<html>",
            "<ListBucketResult",
            "<ListBucketResult/>",
            "<ListBucketResult>",
            "<ListBucketResult></Other>",
            &list("<Contents/>"),
            &list("<Contents><Key>a</Key><Size>much</Size></Contents>"),
            &list("<Contents><Key>a</Key><Size>-1</Size></Contents>"),
            &list("<Contents><Key>a</Key><Key>b</Key></Contents>"),
            &list("<Contents><Key><b>a</b></Key></Contents>"),
            &list("<Contents><Key>a</Key>"),
            &list(&OBJECT.replace("<Contents", "<Contents xmlns=\"other\"")),
            &list(&format!("<Contents><Key>a</Key>{OBJECT}</Contents>")),
            &list("<IsTruncated>perhaps</IsTruncated>"),
            &list("<IsTruncated>true</IsTruncated>"),
            &list("<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>"),
            &list("<!DOCTYPE a [<!ENTITY b \"b\">]>"),
            &list("<Contents><Key>&b;</Key></Contents>"),
            &list("<Contents><Key>&#0;</Key></Contents>"),
            &list("<Contents><Key>a\u{1}</Key></Contents>"),
            &list("<?a b?>"),
            &list(&"<a>".repeat(100_000)),
            &list(&format!("<Contents{}></Contents>", " a=\"b\"".repeat(1000))),
            &list(&OBJECT.repeat(MOST_OBJECTS + 1)),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{:.300}", text);
        }
        let mut bytes = list(OBJECT).into_bytes();
        let at = bytes.windows(3).position(|window| window == b">a<").expect("a name");
        bytes[at + 1] = 0xff;
        assert!(parse(&bytes).is_err());
    }

    #[test]
    fn no_error_repeats_the_text() {
        for inside in ["SECRET", "<SECRET>", "<Contents><Key><SECRET/></Key></Contents>", "<Size>SECRET", "&SECRET;"] {
            let problem = parse(list(inside).as_bytes()).err().map(|problem| problem.to_string()).unwrap_or_default();
            assert!(!problem.contains("SECRET"), "{problem}");
        }
        for code_text in ["X-Amz-Signature=SECRET", "SECRET SECRET", "a%20SECRET", "SECRET;"] {
            assert_eq!(code(format!("<Code>{code_text}</Code>").as_bytes()), "", "{code_text}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "(<ListBucketResult>)?(</?(Contents|Key|Size|LastModified|IsTruncated)>|[&;#x0-9aäTZ:.-]{0,9}|[<>!?\"'= -]{1,3}){0,40}(</ListBucketResult>)?") {
            _ = parse(text.as_bytes());
            _ = code(text.as_bytes());
        }
    }
}
