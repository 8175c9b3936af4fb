//! Reads and writes the data without loss: floats that JSON has not, moments before 1970, identities as hexadecimal digits.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

/// A number where it is finite, else its 64 bits in hexadecimal digits: so that infinities and the kinds of NaN stay apart.
struct Float(f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.is_finite() {
            true => to.serialize_f64(self.0),
            false => to.collect_str(&format_args!("{:016x}", self.0.to_bits())),
        }
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Float;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or 16 hexadecimal digits")
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Float, E> {
                Ok(Float(number))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Float, E> {
                Ok(Float(number as f64))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Float, E> {
                Ok(Float(number as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Float, E> {
                let bits = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
                bits.map(|bits| Float(f64::from_bits(bits))).ok_or_else(|| E::custom("no float"))
            }
        }
        from.deserialize_any(Visitor)
    }
}

pub(super) mod float {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        Float(*number).serialize(to)
    }
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Float::deserialize(from)?.0)
    }

    pub(in super::super) mod option {
        use super::*;

        pub(in super::super::super) fn serialize<S: Serializer>(
            number: &Option<f64>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            number.map(Float).serialize(to)
        }
        pub(in super::super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<f64>, D::Error> {
            Ok(Option::<Float>::deserialize(from)?.map(|float| float.0))
        }
    }
}

pub(super) mod floats {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(numbers: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().copied().map(Float))
    }
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Float>::deserialize(from)?.into_iter().map(|float| float.0).collect())
    }
}

/// Nanoseconds since 1970, negative before.
pub(super) mod time {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let nanos = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        to.serialize_i128(since.map_or_else(|before| -nanos(before.duration()), nanos))
    }
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        const SECOND: u128 = 1_000_000_000;
        let nanos = i128::deserialize(from)?;
        let seconds = u64::try_from(nanos.unsigned_abs() / SECOND).unwrap_or(u64::MAX);
        let span = Duration::new(seconds, (nanos.unsigned_abs() % SECOND) as u32);
        let time = match nanos < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(span),
            false => SystemTime::UNIX_EPOCH.checked_add(span),
        };
        time.ok_or_else(|| de::Error::custom("a moment out of range"))
    }
}

pub(super) mod interval {
    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Moment(#[serde(with = "time")] SystemTime);

    pub(in super::super) fn serialize<S: Serializer>(
        interval: &Range<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        [Moment(interval.start), Moment(interval.end)].serialize(to)
    }
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Range<SystemTime>, D::Error> {
        let [Moment(start), Moment(end)] = Deserialize::deserialize(from)?;
        Ok(start..end)
    }
}

/// Identities: two lower-case digits a byte.
pub(super) mod hex {
    use super::*;

    /// What an identity is made of.
    pub(in super::super) trait Bytes: Copy {
        /// Its size.
        const LEN: usize;
        fn to_number(self) -> u128;
        fn from_number(number: u128) -> Self;
    }

    impl<const N: usize> Bytes for [u8; N] {
        const LEN: usize = N;
        fn to_number(self) -> u128 {
            self.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
        }
        fn from_number(number: u128) -> Self {
            std::array::from_fn(|at| (number >> (8 * (N - 1 - at))) as u8)
        }
    }

    impl Bytes for u128 {
        const LEN: usize = 16;
        fn to_number(self) -> u128 {
            self
        }
        fn from_number(number: u128) -> Self {
            number
        }
    }

    pub(in super::super) fn serialize<T: Bytes, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:0width$x}", id.to_number(), width = 2 * T::LEN))
    }
    pub(in super::super) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let digits = text.len() == 2 * T::LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| digits);
        number.map(T::from_number).ok_or_else(|| de::Error::custom("no identity"))
    }
}

impl Serialize for super::Attributes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter().map(|attribute| (&attribute.key, &attribute.value)))
    }
}

impl<'de> Deserialize<'de> for super::Attributes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = super::Attributes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("attributes")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut attributes = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, super::Value>()? {
                    attributes.push(super::KeyValue { key: key.into(), value });
                }
                Ok(super::Attributes::new(attributes))
            }
        }
        from.deserialize_map(Visitor)
    }
}
