//! The parts of a body: the report itself, files that come with it, and fields that become attributes.

use bytes::Bytes;
use multer::Multipart;
use std::convert::Infallible;
use tidegate_model::{Attachment, EventLimits};

/// A body taken apart.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// The report.
    pub(crate) report: Option<Bytes>,
    /// Files.
    pub(crate) attachments: Vec<Attachment>,
    /// Fields.
    pub(crate) attributes: Vec<(String, String)>,
}

/// Why a form cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    #[error("the multipart body cannot be read: {0}")]
    Broken(String),
    #[error("the multipart body has no part named upload_file, which would be the report")]
    NoReport,
    #[error("the multipart body has more than one part named upload_file")]
    TwoReports,
    #[error("a report may have {limit} attachments; this one has more")]
    TooManyAttachments { limit: usize },
    #[error("a report may have {limit} attributes; this form alone has more fields")]
    TooManyFields { limit: usize },
    #[error("field {0:?} of the form is not UTF-8 text")]
    NotText(String),
}

/// The boundary, if the content type says that the body is a form. Other types say nothing: clients put JSON under any of them.
pub(crate) fn boundary(content_type: Option<&str>) -> Option<Result<String, FormError>> {
    let content_type = content_type?;
    let is_form = content_type.trim_start().get(..19).is_some_and(|t| t.eq_ignore_ascii_case("multipart/form-data"));
    is_form.then(|| multer::parse_boundary(content_type).map_err(|e| FormError::Broken(e.to_string())))
}

/// Takes a form apart.
pub(crate) async fn read(body: Bytes, boundary: String, limits: &EventLimits) -> Result<Parts, FormError> {
    let stream = futures_util::stream::iter([Ok::<_, Infallible>(body)]);
    let mut form = Multipart::new(stream, boundary);
    let mut parts = Parts::default();
    let broken = |e: multer::Error| FormError::Broken(e.to_string());
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let content_type = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().await.map_err(broken)?;
        if matches!(name.as_str(), "upload_file" | "upload_file_minidump") {
            if parts.report.replace(bytes).is_some() {
                return Err(FormError::TwoReports);
            }
        } else if is_file || name.starts_with("attachment_") {
            // The file's own name is left out: it may be a full path on the client's disk.
            let name = name.strip_prefix("attachment_").or(name.strip_prefix("attachment.")).unwrap_or(&name);
            parts.attachments.push(Attachment { name: plain_name(name), content_type, bytes: bytes.to_vec() });
            if parts.attachments.len() > limits.attachments {
                return Err(FormError::TooManyAttachments { limit: limits.attachments });
            }
        } else {
            let text = String::from_utf8(bytes.to_vec()).map_err(|_| FormError::NotText(name.clone()))?;
            parts.attributes.push((name, text));
            if parts.attributes.len() > limits.attributes {
                return Err(FormError::TooManyFields { limit: limits.attributes });
            }
        }
    }
    if parts.report.is_none() { Err(FormError::NoReport) } else { Ok(parts) }
}

/// The last part of a path, without control characters; `attachment` if nothing is left.
pub(crate) fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    if clean.is_empty() { "attachment".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(parts: &[(&str, &str)]) -> Bytes {
        let mut body = String::new();
        for (head, content) in parts {
            body.push_str(&format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n"));
        }
        (body + "--b--\r\n").into()
    }

    async fn parts(list: &[(&str, &str)]) -> Result<Parts, FormError> {
        read(form(list), "b".to_owned(), &EventLimits { attachments: 2, attributes: 2, ..EventLimits::default() }).await
    }

    #[tokio::test]
    async fn the_report_is_found_by_name_in_the_form_of_every_client() {
        for head in [
            "name=\"upload_file\"; filename=\"upload_file\"",
            "name=\"upload_file\"; filename=\"upload_file.json\"\r\nContent-Type: application/json",
            "name=upload_file; filename=\"upload_file.json\"\r\nContent-Type: application/octet-stream",
            "name=\"upload_file\"",
            "name=\"upload_file_minidump\"; filename=\"x.dmp\"",
        ] {
            assert_eq!(parts(&[(head, "{}")]).await.unwrap().report.unwrap(), "{}", "{head}");
        }
    }

    #[tokio::test]
    async fn attachments_lose_their_paths_and_fields_become_attributes() {
        let got = parts(&[
            ("name=\"attachment_att.log\"; filename=\"/home/u/att.log\"\r\nContent-Type: text/plain", "log"),
            ("name=\"version\"", "1.0"),
            ("name=\"upload_file\"", "{}"),
        ])
        .await
        .unwrap();
        let file = Attachment {
            name: "att.log".to_owned(),
            content_type: Some("text/plain".to_owned()),
            bytes: b"log".to_vec(),
        };
        assert_eq!(got.attachments, [file]);
        assert_eq!(got.attributes, [("version".to_owned(), "1.0".to_owned())]);
        assert_eq!(plain_name("../../etc/pass\nwd"), "passwd");
        assert_eq!(plain_name("a\\"), "attachment");
    }

    #[tokio::test]
    async fn a_form_beyond_a_limit_or_without_a_report_is_refused_with_the_reason() {
        let told = |e: FormError| e.to_string();
        let report = ("name=\"upload_file\"", "{}");
        let file = |n: &'static str| (n, "x");
        let many =
            [report, file("name=\"attachment_a\""), file("name=\"attachment_b\""), file("name=\"attachment_c\"")];
        assert_eq!(told(parts(&many).await.unwrap_err()), "a report may have 2 attachments; this one has more");
        let many = [report, file("name=\"a\""), file("name=\"b\""), file("name=\"c\"")];
        assert_eq!(
            told(parts(&many).await.unwrap_err()),
            "a report may have 2 attributes; this form alone has more fields"
        );
        assert!(told(parts(&[file("name=\"a\"")]).await.unwrap_err()).contains("no part named upload_file"));
        assert!(told(parts(&[report, report]).await.unwrap_err()).contains("more than one part"));
        let cut = form(&[report]).slice(..40);
        assert!(told(read(cut, "b".to_owned(), &EventLimits::default()).await.unwrap_err()).contains("cannot be read"));
    }

    #[test]
    fn only_a_form_has_a_boundary() {
        assert!(boundary(None).is_none());
        assert!(boundary(Some("application/x-www-form-urlencoded")).is_none());
        assert_eq!(boundary(Some("Multipart/Form-Data; boundary=\"x y\"")).unwrap().unwrap(), "x y");
        assert!(boundary(Some("multipart/form-data")).unwrap().is_err());
    }
}
