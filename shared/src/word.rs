//! States, kinds and reasons: each set of words is one enum, spelled once.

use std::str::FromStr;

/// A text that is none of a set of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {set}")]
pub struct UnknownWord {
    /// The enum's name.
    pub set: &'static str,
    pub text: String,
}

impl UnknownWord {
    pub(crate) fn new(set: &'static str, text: &str) -> Self {
        Self { set, text: text.chars().take(64).collect() }
    }
}

/// Reads the word in front of a text for people: the reason `no_light: it cannot be switched`
/// begins with `no_light`. Gives nothing for a word that only a newer peer knows.
pub fn leading<T: FromStr>(text: &str) -> Option<T> {
    text.split(':').next()?.parse().ok()
}

/// Makes an enum of words that has one spelling, on the wire, in databases and in the app. With
/// `or Unknown` a message stays readable that has a word of a newer peer.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$word_meta:meta])* $word:ident = $text:literal,)+
        } $(or $unknown:ident)?
    ) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$word_meta])* #[serde(rename = $text)] $word,)+
            $(
                /// A word that a newer peer knows and this reader does not.
                #[serde(rename = "unknown", other)]
                $unknown,
            )?
        }

        impl $name {
            /// Every word that this reader knows, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// Spells the word as it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                    $(Self::$unknown => "unknown",)?
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let unknown: &[&str] = &[$(stringify!($unknown))?];
                let words = Self::ALL.iter().map(|word| word.as_str());
                $crate::schema::word(words, !unknown.is_empty())
            }
        }
        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::word::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$word),)+
                    _ => Err($crate::word::UnknownWord::new(stringify!($name), text)),
                }
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::session::SessionEndReason;

    #[test]
    fn a_word_is_spelled_alike_on_the_wire_and_as_text() {
        for reason in SessionEndReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
    }

    #[test]
    fn the_word_in_front_of_a_sentence_is_read() {
        let leading = super::leading::<SessionEndReason>;
        assert_eq!(leading("busy"), Some(SessionEndReason::Busy));
        assert_eq!(leading("busy: eight viewers watch"), Some(SessionEndReason::Busy));
        assert_eq!(leading("from_the_future: nobody knows"), None);
        assert_eq!(leading(""), None);
    }
}
