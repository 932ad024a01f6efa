//! Messages as gRPC brings them, checked before they are decoded: few bytes may be much in memory.

use super::decode::{check_recover_request, check_subscribe_request};
use super::{WireError, v1};
use bytes::Buf;
use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// The codec of the service.
pub(crate) struct Checked<T, U>(PhantomData<(T, U)>);

/// What is decoded.
pub(crate) struct CheckedDecoder<U>(PhantomData<U>);

/// A message whose bytes are checked first.
pub(crate) trait Bounded: Message + Default {
    /// # Errors
    /// Where they would be too much in memory.
    fn check(_bytes: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

impl Bounded for v1::RecoverRequest {
    fn check(bytes: &[u8]) -> Result<(), WireError> {
        check_recover_request(bytes)
    }
}

impl Bounded for v1::SubscribeRequest {
    fn check(bytes: &[u8]) -> Result<(), WireError> {
        check_subscribe_request(bytes)
    }
}

impl Bounded for v1::DescribeRequest {}
impl Bounded for v1::StatsRequest {}

// what a server answers, the client trusts
impl Bounded for v1::RecoverResponse {}
impl Bounded for v1::SubscribeResponse {}
impl Bounded for v1::DescribeResponse {}
impl Bounded for v1::StatsResponse {}

impl<T, U> Default for Checked<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Checked<T, U>
where
    T: Message + Send + 'static,
    U: Bounded + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CheckedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckedDecoder(PhantomData)
    }
}

impl<U: Bounded> Decoder for CheckedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        U::check(&bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let message = U::decode(bytes);
        message
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
