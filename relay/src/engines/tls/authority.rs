//! The relay's certificate authority: what cameras pin, and people tell their browsers to trust.
//!
//! It may vouch for the relay's own names and addresses alone (RFC 5280, 4.2.1.10): whoever steals its key
//! can pretend to be this relay, and no other website.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use anyhow::{Context, bail};
use nightjar_shared::time::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, SerialNumber,
};
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use super::{AUTHORITY_LIFETIME, common_name, private_file, set_validity};

pub(super) const CERTIFICATE_FILE: &str = "ca.pem";

pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// Takes the authority of `directory`, or makes it. One that may not vouch for all of `names` is made
/// again with the same key, for those and for all that it vouched for.
pub(super) fn load_or_create(
    directory: &Path,
    names: &BTreeSet<String>,
    now: UnixMillis,
) -> anyhow::Result<Authority> {
    let Some((pem, key)) = read(directory)? else {
        return create(directory, KeyPair::generate()?, names.clone(), now);
    };
    let certificate_path = directory.join(CERTIFICATE_FILE);
    let Some(permitted) = permitted(&pem)
        .with_context(|| format!("{} is no authority", certificate_path.display()))?
    else {
        tracing::warn!(
            "ca.pem was made by an older relay and may vouch for any website: who steals its key could \
             be any to those who trust it; docs/operations.md says how to replace it"
        );
        return from_pem(directory, pem, key);
    };
    let missing: Vec<_> = names.iter().filter(|name| !permitted.vouch_for(name)).collect();
    if missing.is_empty() {
        return from_pem(directory, pem, key);
    }
    tracing::warn!(
        ?missing,
        "ca.pem is made again, because it does not vouch for these names: browsers need the new one, \
         and so do cameras that were paired before, by being paired again"
    );
    let names = names.iter().cloned().chain(permitted.names).collect();
    create(directory, key, names, now)
}

/// Loads the authority: nothing when there has never been one here.
pub(super) fn load(directory: &Path) -> anyhow::Result<Option<Authority>> {
    read(directory)?.map(|(pem, key)| from_pem(directory, pem, key)).transpose()
}

fn read(directory: &Path) -> anyhow::Result<Option<(String, KeyPair)>> {
    let (certificate_path, key_path) =
        (directory.join(CERTIFICATE_FILE), directory.join("ca-key.pem"));
    match (private_file::read(&certificate_path)?, private_file::read(&key_path)?) {
        (Some(certificate), Some(key)) => {
            let key = KeyPair::from_pem(&key)
                .with_context(|| format!("{} holds no private key", key_path.display()))?;
            Ok(Some((certificate, key)))
        }
        (None, None) => Ok(None),
        // Paired cameras trust this authority and no other: guessing would lock them all out.
        (Some(_), None) => bail!("{} is missing: restore it from a backup", key_path.display()),
        (None, Some(_)) => {
            bail!("{} is missing: restore it from a backup", certificate_path.display())
        }
    }
}

fn from_pem(directory: &Path, pem: String, key: KeyPair) -> anyhow::Result<Authority> {
    let issuer = Issuer::from_ca_cert_pem(&pem, key).with_context(|| {
        format!("{} is no authority", directory.join(CERTIFICATE_FILE).display())
    })?;
    Ok(Authority { pem, issuer })
}

fn create(
    directory: &Path,
    key: KeyPair,
    names: BTreeSet<String>,
    now: UnixMillis,
) -> anyhow::Result<Authority> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).context("no randomness for a serial number")?;
    // Positive, and of no other length than this.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Nightjar relay authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.into_iter().map(subtree).collect(),
        excluded_subtrees: Vec::new(),
    });
    // Two certificates of one authority must differ in it.
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    set_validity(&mut params, now, AUTHORITY_LIFETIME);
    let pem = params.self_signed(&key)?.pem();
    private_file::write(&directory.join("ca-key.pem"), key.serialize_pem().as_bytes())?;
    private_file::write(&directory.join(CERTIFICATE_FILE), pem.as_bytes())?;
    Ok(Authority { pem, issuer: Issuer::new(params, key) })
}

/// A name stands for itself and what is below it, an address for itself.
fn subtree(name: String) -> GeneralSubtree {
    match name.parse() {
        Ok(IpAddr::V4(address)) => {
            GeneralSubtree::IpAddress(CidrSubnet::V4(address.octets(), [0xff; 4]))
        }
        Ok(IpAddr::V6(address)) => {
            GeneralSubtree::IpAddress(CidrSubnet::V6(address.octets(), [0xff; 16]))
        }
        Err(_) => GeneralSubtree::DnsName(name),
    }
}

/// What an authority may vouch for.
struct Permitted {
    names: Vec<String>,
}

impl Permitted {
    fn vouch_for(&self, name: &str) -> bool {
        let is_address = name.parse::<IpAddr>().is_ok();
        self.names.iter().any(|permitted| {
            let is_below =
                || name.strip_suffix(permitted.as_str()).is_some_and(|head| head.ends_with('.'));
            name == permitted || (!is_address && is_below())
        })
    }
}

/// Reads the names that an authority is constrained to; nothing for one without constraints.
fn permitted(pem: &str) -> anyhow::Result<Option<Permitted>> {
    let (_, pem) = parse_x509_pem(pem.as_bytes())?;
    let certificate = pem.parse_x509()?;
    let Some(constraints) = certificate.name_constraints()? else { return Ok(None) };
    let subtrees = constraints.value.permitted_subtrees.as_deref().unwrap_or_default();
    let names = subtrees.iter().filter_map(|subtree| match &subtree.base {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        // The address, and its mask, which has all bits in what we make.
        GeneralName::IPAddress(bytes) => match bytes.len() {
            8 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?).to_string()),
            32 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?).to_string()),
            _ => None,
        },
        _ => None,
    });
    Ok(Some(Permitted { names: names.collect() }))
}
