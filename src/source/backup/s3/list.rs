//! A page of a bucket's list, as XML that programs write: elements without attributes, that do not nest in themselves.

use super::super::{
    files::Named,
    problem::{Problem, Why},
    time,
};

/// `#x10FFFF;` and shorter. To look for the end of one any further would take for ever in a text of ampersands.
const LONGEST_ENTITY: usize = 10;

/// Some objects, and where to go on.
pub struct Page {
    pub objects: Vec<Named>,
    pub next: Option<String>,
    /// Objects that lack what they should have.
    pub odd: u64,
}

/// Reads a page.
///
/// # Errors
/// It is none, or it is cut off: what is left out of a list must not count as what is not there.
pub fn parse(bytes: &[u8]) -> Result<Page, Problem> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains("<ListBucketResult") {
        return Err(Problem::new(
            Why::Garbage,
            "what answers is no S3-compatible service: it sends no ListBucketResult",
        ));
    }
    let mut page = Page { objects: Vec::new(), next: None, odd: 0 };
    let mut rest = &*text;
    while let Some((object, after)) = element(rest, "Contents") {
        rest = after;
        match named(object) {
            Some(named) => page.objects.push(named),
            None => page.odd += 1,
        }
    }
    let is_truncated = element(&text, "IsTruncated").is_some_and(|(flag, _)| flag == "true");
    page.next = element(&text, "NextContinuationToken").filter(|_| is_truncated).map(|(token, _)| unescape(token));
    if is_truncated && page.next.is_none() || !text.contains("</ListBucketResult>") {
        return Err(Problem::new(
            Why::Garbage,
            "the list is cut off, and does not say how it goes on: is this version 2 of it?",
        ));
    }
    Ok(page)
}

fn named(object: &str) -> Option<Named> {
    let size = element(object, "Size")?.0.parse().ok().filter(|size: &f64| size.is_finite() && *size >= 0.0)?;
    let changed = time::parse(element(object, "LastModified")?.0)?;
    Some(Named { name: unescape(element(object, "Key")?.0), size, changed })
}

/// The code of an error, empty if there is none.
pub fn code(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    element(&text, "Code").map(|(code, _)| unescape(code).chars().take(100).collect()).unwrap_or_default()
}

/// What the first element of this name holds, and what follows it.
fn element<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    after.split_once(&format!("</{name}>"))
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        plain.push_str(before);
        let end = entity.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';');
        let decoded = end.and_then(|end| Some((character(&entity[..end])?, &entity[end + 1..])));
        let (character, after) = decoded.unwrap_or(('&', entity));
        plain.push(character);
        rest = after;
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = number.strip_prefix('x').map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_read() {
        let text = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name><Prefix>p/</Prefix>\
            <Contents><Key>p/a&amp;b&#x41;</Key><LastModified>2026-11-21T12:54:20.000Z</LastModified><Size>7</Size></Contents>\
            <Contents><Key>p/odd</Key><Size>many</Size></Contents>\
            <IsTruncated>true</IsTruncated><NextContinuationToken>t&lt;</NextContinuationToken></ListBucketResult>";
        let page = parse(text.as_bytes()).expect("a page");
        let objects: Vec<_> =
            page.objects.iter().map(|object| (object.name.as_str(), object.size, object.changed)).collect();
        assert_eq!(objects, [("p/a&bA", 7.0, 1795265660.0)]);
        assert_eq!((page.next.as_deref(), page.odd), (Some("t<"), 1));
        for cut in [text.replace("NextContinuationToken", "NextMarker"), text.replace("</ListBucketResult>", "")] {
            assert!(parse(cut.as_bytes()).is_err(), "{cut}");
        }
        assert!(parse(b"<html>").is_err());
        assert_eq!(code(b"<Error><Code>NoSuchBucket</Code></Error>"), "NoSuchBucket");
    }

    proptest! {
        #[test]
        fn any_text(text in "(<ListBucketResult>)?(</?(Contents|Key|Size|LastModified|IsTruncated)>|[&;#x0-9aäTZ:.-]{0,9}){0,40}") {
            _ = parse(text.as_bytes());
            _ = code(text.as_bytes());
        }
    }
}
