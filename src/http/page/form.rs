//! What a form on a page sends.

use url::form_urlencoded;

use crate::error::{Error, Result};
use crate::http::route::shown;

/// The fields of a form.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Refuses fields that the form does not have, and such as come twice: it is not our form then.
    pub fn parse(body: &[u8], known: &[&str]) -> Result<Form> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            if !known.contains(&&*name) {
                return Err(Error::gone(format!("unknown field `{}` in the form", shown(&name))));
            }
            if fields.iter().any(|(seen, _)| *seen == name) {
                return Err(Error::gone(format!("field `{name}` stands twice in the form")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Form(fields))
    }

    /// `None` where nothing was filled in.
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Of a box: a browser sends none that is not ticked.
    pub fn is_ticked(&self, name: &str) -> bool {
        self.text(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_the_fields_that_it_is_known_for_once_each() {
        let known = ["until", "by"];
        let form = Form::parse(b"until=2027-02-01&by=+Ada+%26+Co%2e+", &known).expect("a form");
        assert_eq!((form.text("until"), form.text("by")), (Some("2027-02-01"), Some("Ada & Co.")));
        let empty = Form::parse(b"by=+&", &known).expect("a form");
        assert_eq!((empty.text("by"), empty.is_ticked("until")), (None, false));
        let table: [(&[u8], &str); 3] = [
            (b"until=1&until=2", "field `until` stands twice in the form"),
            (b"untl=1", "unknown field `untl` in the form"),
            (b"\xff=1", "unknown field `\u{fffd}` in the form"),
        ];
        for (body, expected) in table {
            assert_eq!(Form::parse(body, &known).expect_err(expected).to_string(), expected);
        }
    }
}
