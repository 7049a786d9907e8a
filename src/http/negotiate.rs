//! Content negotiation: reads the format, encoding, timeout and selection from a request's headers and query.

use std::time::Duration;

use form_urlencoded::Parse;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use crate::exposition::Format;
use crate::scrape::engine::Selection;

/// Prometheus announces its scrape timeout here.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// The part of the timeout that remains for sending the page.
const MARGIN: Duration = Duration::from_millis(500);

/// The format with the highest weight of those we write; plain text if the scraper prefers none.
pub fn format(headers: &HeaderMap) -> Format {
    let mut best = (0.0, Format::Text);
    for range in media_ranges(headers, ACCEPT) {
        let format = match range.name.as_str() {
            "application/openmetrics-text" if range.has_version(&["1.0.0", "0.0.1"]) => Format::OpenMetrics,
            "application/vnd.google.protobuf" if range.is_delimited_families() => Format::Protobuf,
            "text/plain" if range.has_version(&["0.0.4"]) => Format::Text,
            "text/*" | "*/*" => Format::Text,
            _ => continue,
        };
        if range.weight() > best.0 {
            best = (range.weight(), format);
        }
    }
    best.1
}

/// Returns whether the scraper accepts gzip.
pub fn gzip(headers: &HeaderMap) -> bool {
    media_ranges(headers, ACCEPT_ENCODING).any(|range| range.name == "gzip" && range.weight() > 0.0)
}

/// How long the page may take: the scraper's timeout, or else the default, less the time of sending. It is rounded
/// down, to whole seconds or to tenths below one, so that scrapers with nearly the same timeout share a page.
pub fn timeout(headers: &HeaderMap, default: Duration) -> Duration {
    let announced = headers.get(TIMEOUT_HEADER).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    let announced = announced.filter(|seconds| (0.001..=3600.0).contains(seconds)).map(Duration::from_secs_f64);
    let limit = announced.unwrap_or(default);
    let step = if limit < Duration::from_secs(1) { 100 } else { 1000 };
    let limit = Duration::from_millis(limit.as_millis() as u64 / step * step);
    // Very short limits keep half.
    limit.saturating_sub(MARGIN).max(limit / 2)
}

/// The keys and values of a query.
pub fn parameters(query: Option<&str>) -> Parse<'_> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
}

/// `target=` and `collector=`, each any number of times.
pub fn selection(query: Option<&str>) -> Selection {
    let mut selection = Selection::default();
    for (key, value) in parameters(query) {
        match &*key {
            "target" => _ = selection.targets.insert(value.into_owned()),
            "collector" => _ = selection.collectors.insert(value.into_owned()),
            _ => (),
        }
    }
    selection
}

/// One element of an Accept header: a name, and parameters such as its weight, `q`.
struct MediaRange<'a> {
    name: String,
    parameters: &'a str,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        MediaRange { name: name.trim().to_ascii_lowercase(), parameters }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.parameters.split(';').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.rfind(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
        Some(value.trim().trim_matches('"'))
    }

    fn weight(&self) -> f32 {
        self.parameter("q").map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
    }

    /// It names one of these versions, or no version.
    fn has_version(&self, versions: &[&str]) -> bool {
        self.parameter("version").is_none_or(|version| versions.contains(&version))
    }

    /// The range is Prometheus' request for protobuf. Other messages and delimiters are other formats. It also sends how
    /// to escape names beyond letters, digits and underscores; we have none.
    fn is_delimited_families(&self) -> bool {
        self.parameter("proto") == Some("io.prometheus.client.MetricFamily")
            && self.parameter("encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("delimited"))
    }
}

fn media_ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = MediaRange<'_>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(MediaRange::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn formats() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let native_2 = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let native_3 = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus_2, Format::OpenMetrics),
            (prometheus_3, Format::OpenMetrics),
            (native_2, Format::Protobuf),
            (native_3, Format::Protobuf),
            (
                "Application/VND.google.protobuf ; Proto = \"io.prometheus.client.MetricFamily\" ; encoding=\"delimited\"",
                Format::Protobuf,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0",
                Format::Text,
            ),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Format::Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text,application/openmetrics-text;q=0.1",
                Format::OpenMetrics,
            ),
            ("application/vnd.google.protobuf;proto=io.prometheus.write.v2.Request;encoding=delimited", Format::Text),
            ("application/vnd.google.protobuf;encoding=delimited", Format::Text),
            ("application/vnd.google.protobuf", Format::Text),
            ("application/x-protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Format::Text),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4", Format::Text),
            ("application/openmetrics-text; version=2.0.0, */*;q=0.1", Format::Text),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Text),
            ("text/html,*/*;q=0.8", Format::Text),
            (";;=,,q=;", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(super::format(&headers("accept", accept)), format, "{accept}");
        }
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            assert_eq!(super::format(&headers("accept", format.content_type())), format, "the type of its own pages");
        }
    }

    #[test]
    fn deadlines() {
        let default = Duration::from_secs(10);
        for (announced, millis) in [
            ("10", 9500),
            ("10.9", 9500),
            ("3.5", 2500),
            ("0.5", 250),
            ("0.59", 250),
            ("0.09", 0),
            ("-1", 9500),
            ("nan", 9500),
            ("1e300", 9500),
            ("x", 9500),
        ] {
            let timeout = timeout(&headers(TIMEOUT_HEADER, announced), default);
            assert_eq!(timeout, Duration::from_millis(millis), "{announced}");
        }
    }

    #[test]
    fn compression() {
        for (accept, expected) in [("gzip, deflate", true), ("gzip;q=0", false), ("br", false), ("*", false)] {
            assert_eq!(gzip(&headers("accept-encoding", accept)), expected, "{accept}");
        }
    }
}
