//! Why there is no connection to the broker.

use rumqttc::v5::{
    ClientError, ConnectionError,
    mqttbytes::v5::{ConnectReturnCode, PubAckReason, SubscribeReasonCode},
};

use crate::{
    cloud::{CloudError, Disposition},
    store::StoreError,
};

/// The pairing names no broker that this agent can reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "the relay's broker address `{0}` is not of the form mqtts://host:port; pair the camera again"
)]
pub struct AddressError(pub(super) String);

/// Why a connection ended or did not come about.
#[derive(Debug, thiserror::Error)]
pub(in crate::uplink) enum LinkError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("the relay's certificate authority cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Connection(#[from] Box<ConnectionError>),
    #[error("no answer in time")]
    NoAnswer,
    #[error("{first}; by the other route: {second}")]
    NoRoute { first: Box<LinkError>, second: Box<LinkError> },
    #[error("the broker refused the subscription: {0:?}")]
    Subscription(Vec<SubscribeReasonCode>),
    #[error("the broker refused a message: {0:?}")]
    Message(PubAckReason),
    #[error("the connection ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(Box::new(error))
    }
}

impl From<ClientError> for LinkError {
    fn from(_: ClientError) -> Self {
        Self::Ended
    }
}

impl LinkError {
    /// Returns whether the broker refused the token.
    pub(in crate::uplink) fn refused_credentials(&self) -> bool {
        let Self::Connection(error) = self else { return false };
        matches!(
            **error,
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::NotAuthorized
                    | ConnectReturnCode::BadUserNamePassword
                    | ConnectReturnCode::Banned
            )
        )
    }

    /// Returns whether the relay refused the camera's key: only a new pairing helps.
    pub(in crate::uplink) fn camera_was_removed(&self) -> bool {
        matches!(self, Self::Cloud(error) if error.disposition() == Disposition::Unauthorized)
    }
}
