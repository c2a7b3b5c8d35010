//! Lists in pages: filters, an order, a limit, and a cursor that leads on. All lists work alike.
//!
//! The cursor holds the last item's place in the order and not its number, so what is made or removed meanwhile neither repeats
//! nor hides others. Where the order is the list's own, it is found again by its last item.

use crate::http::problem::Problem;
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Items of a page, unless another limit is given: enough for most lists to come whole.
pub(crate) const LIMIT: usize = 1000;
/// Most items of a page.
pub(crate) const MOST: usize = 1000;

/// What a list can do. Members are named as in its items, with a dot between levels.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The member of the answer that holds the items.
    pub(crate) list: &'static str,
    /// Members that together tell items apart.
    pub(crate) id: &'static [&'static str],
    /// Members to sort by.
    pub(crate) sorts: &'static [&'static str],
    /// Members that can be asked to have a value; a search looks into them, too.
    pub(crate) filters: &'static [&'static str],
}

/// The parameters of a list, not looked at yet.
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self(pairs.into_owned().collect()))
    }
}

/// Which items are wanted.
#[derive(Debug)]
pub(crate) struct Page {
    rules: &'static Rules,
    limit: usize,
    /// Key and id of the last item of the page before.
    after: Option<(Value, String)>,
    sort: Option<&'static str>,
    descending: bool,
    /// Each with the values of which one is wanted.
    filters: BTreeMap<&'static str, Vec<String>>,
    /// Words in small letters.
    search: Vec<String>,
}

/// What a list comes to.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The items of the page.
    pub(crate) items: Vec<Value>,
    /// The cursor behind them, if there are more.
    next: Option<String>,
    /// How many there are on all pages.
    total: usize,
}

impl Parameters {
    /// Takes out a parameter that this list has beside those of all lists.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Reads them by the rules of a list.
    pub(crate) fn page(self, rules: &'static Rules) -> Result<Page, Problem> {
        let (limit, after, sort) = (LIMIT, None, None);
        let mut page =
            Page { rules, limit, after, sort, descending: false, filters: BTreeMap::new(), search: Vec::new() };
        for (name, value) in self.0 {
            match name.as_str() {
                "limit" => page.limit = limit_of(&value)?,
                "cursor" => page.after = Some(cursor_of(&value)?),
                "sort" => (page.sort, page.descending) = sort_of(&value, rules)?,
                "search" => page.search.extend(value.split_whitespace().map(str::to_lowercase)),
                other => {
                    let known = rules.filters.iter().find(|filter| **filter == other);
                    let known = known.ok_or_else(|| {
                        let all = ["limit", "cursor", "sort", "search"].iter().chain(rules.filters);
                        let all = all.copied().collect::<Vec<_>>().join(", ");
                        Problem::bad_request(format_args!("{other}: this list has no such parameter; it has: {all}"))
                    })?;
                    page.filters.entry(*known).or_default().push(value);
                }
            }
        }
        Ok(page)
    }
}

fn limit_of(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format_args!("limit: expected 1 to {MOST}, found {text:?}")))
}

fn cursor_of(text: &str) -> Result<(Value, String), Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let read = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    read.ok_or_else(|| Problem::invalid("cursor: expected what `next` of the page before says"))
}

fn sort_of(text: &str, rules: &Rules) -> Result<(Option<&'static str>, bool), Problem> {
    let (wanted, descending) = text.strip_prefix('-').map_or((text, false), |wanted| (wanted, true));
    let known = rules.sorts.iter().find(|sort| **sort == wanted);
    let known = known.ok_or_else(|| {
        let all = rules.sorts.join(", ");
        Problem::bad_request(format_args!(
            "sort: expected one of {all}, with - in front to turn it round; found {text:?}"
        ))
    })?;
    Ok((Some(*known), descending))
}

fn member<'i>(item: &'i Value, path: &str) -> &'i Value {
    path.split('.').fold(item, |value, part| &value[part])
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

impl Page {
    fn id(&self, item: &Value) -> String {
        let parts: Vec<String> = self.rules.id.iter().map(|path| plain(member(item, path))).collect();
        parts.join("/")
    }

    /// Whether filters or order ask for a member below `path`.
    pub(crate) fn asks_for(&self, path: &str) -> bool {
        let mut asked = self.filters.keys().chain(&self.sort);
        asked.any(|member| member.split('.').next() == Some(path))
    }

    fn wants(&self, item: &Value) -> bool {
        let one = |value: &Value, wanted: &[String]| wanted.contains(&plain(value));
        let filtered = self.filters.iter().all(|(path, wanted)| match member(item, path) {
            Value::Array(values) => values.iter().any(|value| one(value, wanted)),
            value => one(value, wanted),
        });
        filtered && self.finds(item)
    }

    /// Whether all words are in what the item is called, or in a text by which it can be filtered.
    fn finds(&self, item: &Value) -> bool {
        if self.search.is_empty() {
            return true;
        }
        let mut text = self.id(item);
        for path in self.rules.filters {
            match member(item, path) {
                Value::String(value) => text.extend([" ", value]),
                Value::Array(values) => values.iter().filter_map(Value::as_str).for_each(|v| text.extend([" ", v])),
                _ => {}
            }
        }
        let text = text.to_lowercase();
        self.search.iter().all(|word| text.contains(word))
    }

    /// The items of the page, and what belongs to them.
    pub(crate) fn cut(&self, items: Vec<Value>) -> Cut {
        let mut items: Vec<(Value, String)> = items
            .into_iter()
            .filter(|item| self.wants(item))
            .map(|item| {
                let id = self.id(&item);
                (item, id)
            })
            .collect();
        let start = match self.sort {
            None => self.resume(&items),
            Some(path) => {
                let place = |a: (&Value, &str), b: (&Value, &str)| {
                    let order = compare(a.0, b.0).then_with(|| a.1.cmp(b.1));
                    let order = if self.descending { order.reverse() } else { order };
                    // What is not there comes last, whichever way.
                    a.0.is_null().cmp(&b.0.is_null()).then(order)
                };
                items.sort_by(|a, b| place((member(&a.0, path), a.1.as_str()), (member(&b.0, path), b.1.as_str())));
                self.after.as_ref().map_or(0, |(key, id)| {
                    items.partition_point(|item| {
                        place((member(&item.0, path), item.1.as_str()), (key, id.as_str())).is_le()
                    })
                })
            }
        };
        let end = items.len().min(start.saturating_add(self.limit));
        let next = (end < items.len() && end > start).then(|| {
            let (item, id) = &items[end - 1];
            let key = self.sort.map_or_else(|| json!(end), |path| member(item, path).clone());
            BASE64_URL_SAFE_NO_PAD.encode(json!([key, id]).to_string())
        });
        let total = items.len();
        Cut { items: items.drain(start..end).map(|(item, _)| item).collect(), next, total }
    }

    /// Where the page begins in the list's own order: behind the last item, or where that was if it is gone.
    fn resume(&self, items: &[(Value, String)]) -> usize {
        let Some((place, id)) = &self.after else { return 0 };
        let found = items.iter().position(|(_, other)| other == id).map(|at| at + 1);
        let place = || place.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0).saturating_sub(1);
        found.unwrap_or_else(place).min(items.len())
    }

    /// The answer with the page of a whole list.
    pub(crate) fn answer(&self, items: Vec<Value>) -> Response {
        self.answer_with(self.cut(items), &json!({}))
    }

    /// The answer with the items of a page, and other members.
    pub(crate) fn answer_with(&self, cut: Cut, more: &Value) -> Response {
        let mut document = json!({"total": cut.total});
        document[self.rules.list] = Value::Array(cut.items);
        if let Some(next) = cut.next {
            document["next"] = json!(next);
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        Json(document).into_response()
    }
}

/// Nothing, then false and true, then numbers, then text; the rest is as good as equal.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        _ => 4,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => {
            let exact = a.as_u64().zip(b.as_u64()).map(|(a, b)| a.cmp(&b));
            exact.unwrap_or_else(|| a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()))
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules =
        Rules { list: "things", id: &["name"], sorts: &["name", "size", "in.state"], filters: &["in.state", "size"] };

    fn page(query: &str) -> Result<Page, Problem> {
        static RULES: Rules = self::RULES;
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Parameters(pairs).page(&RULES)
    }

    fn things(count: usize) -> Vec<Value> {
        let state = |n: usize| if n.is_multiple_of(2) { "ok" } else { "failing" };
        (0..count)
            .map(|n| json!({"name": format!("t{n:03}"), "size": (n * 7) % 5, "in": {"state": state(n)}}))
            .collect()
    }

    fn names(query: &str, count: usize) -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let Cut { items, next, .. } = page(&format!("{query}{cursor}")).unwrap().cut(things(count));
            assert!(next.is_none() || !items.is_empty());
            all.extend(items.iter().map(|i| i["name"].as_str().unwrap().to_owned()));
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    #[test]
    fn all_pages_together_are_the_list_once_whatever_the_limit_and_the_order() {
        for sort in ["", "&sort=name", "&sort=-name", "&sort=size", "&sort=-size", "&sort=-in.state"] {
            let whole = names(&format!("limit=1000{sort}"), 50);
            assert_eq!(whole.len(), 50);
            for limit in [1, 7, 25, 50] {
                assert_eq!(names(&format!("limit={limit}{sort}"), 50), whole, "{limit} {sort}");
            }
        }
        assert!(names("sort=name", 50).is_sorted() && names("sort=-name", 50).is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn what_is_removed_between_two_pages_hides_nothing_else() {
        for query in ["limit=10", "limit=10&sort=name"] {
            let Cut { items: first, next, total } = page(query).unwrap().cut(things(30));
            assert_eq!(total, 30);
            let left: Vec<Value> =
                things(30).into_iter().filter(|t| t["name"] != "t003" && t["name"] != "t009").collect();
            let second = page(&format!("{query}&cursor={}", next.unwrap())).unwrap().cut(left).items;
            assert_eq!(first.last().unwrap()["name"], "t009");
            let begins = second[0]["name"].as_str().unwrap();
            // In the list's own order one that was seen may come again; none is left out.
            assert!(begins == "t010" || query == "limit=10" && begins <= "t011", "{begins}");
        }
    }

    #[test]
    fn filters_and_search_leave_what_fits() {
        assert_eq!(names("in.state=failing&limit=3", 10), ["t001", "t003", "t005", "t007", "t009"]);
        assert_eq!(names("size=0&in.state=ok", 10), ["t000"]);
        assert_eq!(names("search=T00", 200).len(), 10);
        assert_eq!(names("in.state=none", 10), [""; 0]);
        // Of several values one is enough; of several words all are needed, wherever they are.
        assert_eq!(names("in.state=none&in.state=ok", 4), ["t000", "t002"]);
        assert_eq!(names("search=FAIL%20t00", 200), ["t001", "t003", "t005", "t007", "t009"]);
    }

    #[test]
    fn what_is_not_there_comes_last_whichever_way_and_on_whichever_page() {
        let things = || vec![json!({"name": "a"}), json!({"name": "b", "size": 2}), json!({"name": "c", "size": 1})];
        for (query, order) in [("sort=size", "cba"), ("sort=-size", "bca")] {
            let (mut told, mut cursor) = (String::new(), String::new());
            while let Cut { items, next: Some(next), .. } =
                page(&format!("{query}&limit=1{cursor}")).unwrap().cut(things())
            {
                told.push_str(items[0]["name"].as_str().unwrap());
                cursor = format!("&cursor={next}");
            }
            assert_eq!(format!("{told}a"), order);
        }
    }

    #[test]
    fn a_parameter_that_is_none_is_refused_with_those_that_are() {
        for (query, part) in [
            ("limit=0", "expected 1 to 1000, found \"0\""),
            ("limit=1001", "expected 1 to 1000"),
            ("limit=x", "expected 1 to 1000"),
            ("cursor=x", "what `next` of the page before says"),
            ("sort=colour", "one of name, size, in.state"),
            ("colour=red", "it has: limit, cursor, sort, search, in.state, size"),
        ] {
            let told = page(query).unwrap_err();
            assert!(
                told.detail().contains(part) && matches!(told.status().as_u16(), 400 | 422),
                "{query}: {}",
                told.detail()
            );
        }
    }
}
