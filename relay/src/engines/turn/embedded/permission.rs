//! Refusals of permissions and channels for peers that are not reached (RFC 8656, 9.2 and 12.2). The
//! protocol's crate grants them to anybody; what follows would reach nobody, and the client should
//! hear so at once.

use std::net::SocketAddr;

use turn_server_proto::{
    stun::types::{
        attribute::{ErrorCode, Username},
        message::{
            LongTermKeyCredentials, Message, MessageClass, MessageWrite as _, MessageWriteExt as _,
            MessageWriteVec,
        },
    },
    types::{
        TurnCredentials,
        attribute::XorPeerAddress,
        message::{CHANNEL_BIND, CREATE_PERMISSION},
    },
};

/// Lists for which peers a message wants a permission or a channel: none for any other message.
pub(super) fn peers(request: &[u8]) -> Vec<SocketAddr> {
    let Ok(message) = Message::from_bytes(request) else { return Vec::new() };
    if ![CREATE_PERMISSION, CHANNEL_BIND].contains(&message.method()) {
        return Vec::new();
    }
    let id = message.transaction_id();
    let attributes = message.iter_attributes().map(|(_, attribute)| attribute);
    attributes
        .filter_map(|attribute| Some(XorPeerAddress::try_from(&attribute).ok()?.addr(id)))
        .collect()
}

/// Returns whether a message says that a request was granted.
pub(super) fn is_granted(answer: &[u8]) -> bool {
    Message::from_bytes(answer).is_ok_and(|answer| answer.has_class(MessageClass::Success))
}

/// Writes the refusal of a request whose credential was right: 403, signed as the request was.
pub(super) fn refuse(
    request: &[u8],
    realm: &str,
    password: impl Fn(&str) -> String,
) -> Option<Vec<u8>> {
    let request = Message::from_bytes(request).ok()?;
    let user = request.attribute::<Username>().ok()?;
    let password = password(user.username());
    let credentials: LongTermKeyCredentials =
        TurnCredentials::new(user.username(), &password).into_long_term_credentials(realm);
    let key = credentials.into();
    let algorithm = request.validate_integrity(&key).ok()?;
    let mut answer = Message::builder_error(&request, MessageWriteVec::new());
    answer.add_attribute(&ErrorCode::new(ErrorCode::FORBIDDEN, "Forbidden").ok()?).ok()?;
    answer.add_message_integrity(&key, algorithm).ok()?;
    Some(answer.finish())
}
