//! A store's list of its objects (ListObjectsV2): of its XML the few elements that are asked for, whose
//! contents have no elements of their own.

use jiff::Timestamp;
use nightjar_shared::time::UnixMillis;

use crate::engines::objects::{Listed, ListedPage};

/// Reads a list; nothing, when it is none.
pub(super) fn read(text: &str) -> Option<ListedPage> {
    let (_, list) = text.split_once("<ListBucketResult")?;
    let mut objects = Vec::new();
    for object in list.split("<Contents>").skip(1) {
        let (object, _) = object.split_once("</Contents>")?;
        let key = element(object, "Key")?;
        // What has an age that nobody can read is left alone.
        let stored_at = element(object, "LastModified").and_then(|at| at.parse::<Timestamp>().ok());
        if let Some(stored_at) = stored_at {
            objects.push(Listed { key, stored_at: UnixMillis(stored_at.as_millisecond()) });
        }
    }
    let is_truncated = element(list, "IsTruncated").as_deref() == Some("true");
    let next = element(list, "NextContinuationToken").filter(|_| is_truncated);
    Some(ListedPage { objects, next })
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(unescaped(content))
}

fn unescaped(text: &str) -> String {
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    signs.iter().fold(text.to_owned(), |text, (written, sign)| text.replace(written, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_the_place_where_it_goes_on() {
        let text = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>clips</Name><IsTruncated>true</IsTruncated>\
            <NextContinuationToken>a&amp;b</NextContinuationToken>\
            <Contents><Key>ab/cd.mp4</Key><LastModified>2026-11-01T10:00:00.000Z</LastModified>\
            <Size>3</Size></Contents>\
            <Contents><Key>ab/old.mp4</Key><LastModified>once</LastModified></Contents></ListBucketResult>";
        let page = read(text).unwrap();
        let stored_at = UnixMillis(1_793_527_200_000);
        assert_eq!(page.objects, [Listed { key: "ab/cd.mp4".to_owned(), stored_at }]);
        assert_eq!(page.next.as_deref(), Some("a&b"));
        assert_eq!(read("<ListBucketResult></ListBucketResult>"), Some(ListedPage::default()));
        for odd in ["", "<Error/>", "<ListBucketResult><Contents><Key>a</Contents>"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
