//! Signatures of requests: AWS Signature Version 4, in headers, of requests without a body.

use std::fmt::Write;

use ring::{digest, hmac};

use super::super::time;
use crate::config::settings::S3;

/// SHA-256 of nothing.
const NO_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The headers that sign a GET; none without keys. `path` and `query` are encoded, the query's names in order. `now` is in
/// Unix seconds.
pub fn headers(settings: &S3, host: &str, path: &str, query: &str, now: u64) -> Vec<(&'static str, String)> {
    let Some((key, secret)) = &settings.keys else { return Vec::new() };
    let time = time::stamp(now);
    let day = &time[..8];
    let scope = format!("{day}/{}/s3/aws4_request", settings.region);
    let canonical = format!(
        "GET\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{NO_BODY}\nx-amz-date:{time}\n\n\
         host;x-amz-content-sha256;x-amz-date\n{NO_BODY}"
    );
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let start = format!("AWS4{}", secret.expose()).into_bytes();
    let parts = [day, settings.region.as_str(), "s3", "aws4_request", &to_sign];
    let signature = hex(&parts.iter().fold(start, |key, part| mac(&key, part)));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
         Signature={signature}"
    );
    vec![("x-amz-date", time), ("x-amz-content-sha256", NO_BODY.to_owned()), ("authorization", authorization)]
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// Percent-encoded but for letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    /// The example "GET Bucket (List Objects)" of Amazon's documentation.
    #[test]
    fn the_documented_example() {
        let settings = S3 {
            endpoint: String::new(),
            bucket: String::new(),
            prefix: String::new(),
            pattern: String::new(),
            name_time: None,
            region: "us-east-1".into(),
            keys: Some(("AKIAIOSFODNN7EXAMPLE".into(), Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))),
        };
        let headers = headers(&settings, "examplebucket.s3.amazonaws.com", "/", "max-keys=2&prefix=J", 1369353600);
        let signed = "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert_eq!(headers[0], ("x-amz-date", "20130524T000000Z".to_owned()));
        assert!(headers[2].1.ends_with(signed), "{}", headers[2].1);
        assert_eq!(encode("a b/ä"), "a%20b%2F%C3%A4");
    }
}
