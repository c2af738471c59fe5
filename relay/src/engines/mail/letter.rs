//! One letter, and the message that it becomes. Nothing that others wrote can begin another header:
//! addresses are parsed, and a subject is one line whatever it was made of.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Address, Message,
    message::{
        Attachment, Mailbox, MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use nightjar_shared::time::UnixMillis;

use super::{Failure, MailError};

/// A mail that is to leave: plain text, with a picture or not, to one recipient.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Names it for good: a letter that is sent twice has the same name.
    pub id: String,
    /// An address whose host is ASCII.
    pub to: String,
    pub subject: String,
    pub text: String,
    pub picture: Option<Picture>,
    pub at: UnixMillis,
}

/// A picture below the text.
#[derive(Debug, Clone)]
pub struct Picture {
    pub name: String,
    /// JPEG.
    pub content: Vec<u8>,
}

/// Who mail comes from.
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads `Name <user@host>` or `user@host`.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Letter {
    pub(super) fn message(&self, from: &Sender) -> Result<Message, MailError> {
        let to: Address = self.to.parse().map_err(|_| refused("the recipient's address"))?;
        let since_1970 = Duration::from_millis(u64::try_from(self.at.0).unwrap_or(0));
        let host = from.0.email.domain().to_owned();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = Message::builder()
            .from(from.0.clone())
            .to(Mailbox::new(None, to))
            .subject(one_line(&self.subject))
            .date(UNIX_EPOCH + since_1970)
            .message_id(Some(format!("<{}@{host}>", self.id)))
            // No program is to answer it (RFC 3834).
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        let written = match self.picture_part()? {
            None => message.header(ContentType::TEXT_PLAIN).body(self.text.clone()),
            Some(picture) => {
                let text = SinglePart::plain(self.text.clone());
                message.multipart(MultiPart::mixed().singlepart(text).singlepart(picture))
            }
        };
        written.map_err(|_| refused("the message"))
    }

    fn picture_part(&self) -> Result<Option<SinglePart>, MailError> {
        let Some(Picture { name, content }) = &self.picture else { return Ok(None) };
        let jpeg = ContentType::parse("image/jpeg").map_err(|_| refused("the picture"))?;
        Ok(Some(Attachment::new(one_line(name)).body(content.clone(), jpeg)))
    }
}

fn refused(what: &str) -> MailError {
    MailError { reason: format!("{what} cannot be written as a mail"), failure: Failure::Refused }
}

fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(to: &str, subject: &str, text: &str) -> Result<String, MailError> {
        let letter = Letter {
            id: "0199".to_owned(),
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            picture: None,
            at: UnixMillis(1_700_000_000_000),
        };
        let from = Sender::parse("Nightjar <relay@example.org>").unwrap();
        Ok(String::from_utf8(letter.message(&from)?.formatted()).unwrap())
    }

    #[test]
    fn a_letter_says_who_sent_it_when_and_that_no_program_is_to_answer() {
        let message = written("alice@example.org", "Hello", "Line one\nLine two\n").unwrap();
        for line in [
            "From: Nightjar <relay@example.org>",
            "To: alice@example.org",
            "Subject: Hello",
            "Message-ID: <0199@example.org>",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(message.lines().any(|found| found == line), "{line} in\n{message}");
        }
        assert!(message.ends_with("\r\n\r\nLine one\r\nLine two\r\n"), "{message:?}");
    }

    #[test]
    fn a_picture_stands_below_the_text() {
        let letter = Letter {
            id: "0199".to_owned(),
            to: "alice@example.org".to_owned(),
            subject: "Motion".to_owned(),
            text: "Look.\n".to_owned(),
            picture: Some(Picture { name: "a\r\nX: b.jpg".to_owned(), content: vec![0xff; 4] }),
            at: UnixMillis(0),
        };
        let from = Sender::parse("relay@example.org").unwrap();
        let message = String::from_utf8(letter.message(&from).unwrap().formatted()).unwrap();
        assert!(message.contains("Look.") && message.contains("Content-Type: image/jpeg"));
        assert!(message.contains("/////w=="), "{message}");
        assert!(!message.lines().any(|line| line.starts_with("X:")), "{message}");
    }

    #[test]
    fn nothing_in_a_letter_begins_a_header() {
        let evil = "Shop\r\nBcc: victim@example.org\r\n\r\nbody";
        let message = written("alice@example.org", evil, "text").unwrap();
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{message}");
        assert_eq!(body.trim_end(), "text");
        for address in [
            "alice@example.org\r\nBcc: v@example.org",
            "alice@example.org, v@example.org",
            "alice",
            "<alice@example.org>",
            "",
        ] {
            written(address, "x", "text").unwrap_err();
        }
        for sender in ["", "nobody", "a@b\r\nBcc: c@d"] {
            assert!(Sender::parse(sender).is_none(), "{sender:?}");
        }
    }
}
