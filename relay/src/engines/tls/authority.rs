//! The relay's certificate authority: what cameras pin, and people tell their browsers to trust.
//!
//! It may vouch for the relay's own names and addresses alone (RFC 5280, 4.2.1.10): whoever steals its key
//! can pretend to be this relay, and no other website.
//!
//! Another one takes its place while cameras stay paired: the one before vouches for it ("new with old", RFC 4210,
//! 4.4), which is shown behind the server certificate until all cameras pin the new one.

use std::{collections::BTreeSet, fs, io, net::IpAddr, path::Path};

use anyhow::{Context, bail};
use nightjar_shared::time::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, SerialNumber,
};
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use super::{AUTHORITY_LIFETIME, common_name, private_file, set_validity};

pub(super) const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";
/// The authority as the one before vouches for it.
const VOUCHED_FILE: &str = "ca-vouched.pem";
/// Of an exchange that has not come to its end: the key's name goes first.
const NEXT_CERTIFICATE_FILE: &str = "ca-next.pem";
const NEXT_KEY_FILE: &str = "ca-next-key.pem";

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

/// Makes another authority, for the same names and `names`, in the place of the one there is, which vouches for it.
pub(super) fn rotate(
    directory: &Path,
    names: &BTreeSet<String>,
    now: UnixMillis,
) -> anyhow::Result<Authority> {
    let _alone = private_file::hold_keys(directory)?;
    settle(directory)?;
    let (pem, key) =
        read_settled(directory)?.context("there is no authority yet: start the relay once")?;
    if vouched(directory)?.is_some() {
        bail!(
            "the authority before still vouches for this one: once all cameras pin this one, run `nightjar-relay \
             keys forget authority`, and then rotate again"
        );
    }
    let before = from_pem(directory, pem, key)?;
    let permitted = permitted(&before.pem)?.map(|it| it.names).unwrap_or_default();
    let names: BTreeSet<String> = names.iter().cloned().chain(permitted).collect();
    let key = KeyPair::generate()?;
    let params = params(names.clone(), now)?;
    let mut vouched = self::params(names, now)?;
    vouched.use_authority_key_identifier_extension = true;
    let vouched = vouched.signed_by(&key, &before.issuer)?.pem();
    let pem = params.self_signed(&key)?.pem();
    let path = |name: &str| directory.join(name);
    private_file::write(&path(NEXT_KEY_FILE), key.serialize_pem().as_bytes())?;
    private_file::write(&path(NEXT_CERTIFICATE_FILE), pem.as_bytes())?;
    private_file::write(&path(VOUCHED_FILE), vouched.as_bytes())?;
    rename(directory, NEXT_KEY_FILE, KEY_FILE)?;
    settle(directory)?;
    Ok(Authority { pem, issuer: Issuer::new(params, key) })
}

/// Returns the authority as the one before vouches for it; nothing where none does any more.
pub(super) fn vouched(directory: &Path) -> anyhow::Result<Option<String>> {
    private_file::read(&directory.join(VOUCHED_FILE))
}

/// Forgets that the authority before vouches for this one. Says whether it did.
pub(super) fn forget_vouched(directory: &Path) -> anyhow::Result<bool> {
    let _alone = private_file::hold_keys(directory)?;
    remove(directory, VOUCHED_FILE)
}

/// Finishes an exchange that was cut off: the one before stays until the new key has its name. Whoever calls holds the
/// keys, as what looks cut off may be under way.
fn settle(directory: &Path) -> anyhow::Result<()> {
    if directory.join(NEXT_KEY_FILE).exists() {
        remove(directory, VOUCHED_FILE)?;
        remove(directory, NEXT_CERTIFICATE_FILE)?;
        remove(directory, NEXT_KEY_FILE)?;
    } else if directory.join(NEXT_CERTIFICATE_FILE).exists() {
        rename(directory, NEXT_CERTIFICATE_FILE, CERTIFICATE_FILE)?;
    }
    Ok(())
}

fn rename(directory: &Path, from: &str, to: &str) -> anyhow::Result<()> {
    fs::rename(directory.join(from), directory.join(to))
        .and_then(|()| fs::File::open(directory)?.sync_all())
        .with_context(|| format!("cannot name {from} in {} {to}", directory.display()))
}

fn remove(directory: &Path, name: &str) -> anyhow::Result<bool> {
    match fs::remove_file(directory.join(name)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("cannot remove {name} in {}", directory.display()))
        }
    }
}

fn read(directory: &Path) -> anyhow::Result<Option<(String, KeyPair)>> {
    let is_there = |name: &str| directory.join(name).exists();
    if is_there(NEXT_KEY_FILE) || is_there(NEXT_CERTIFICATE_FILE) {
        let _alone = private_file::hold_keys(directory)?;
        settle(directory)?;
    }
    read_settled(directory)
}

fn read_settled(directory: &Path) -> anyhow::Result<Option<(String, KeyPair)>> {
    let (certificate_path, key_path) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
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
    let params = params(names, now)?;
    let pem = params.self_signed(&key)?.pem();
    private_file::write(&directory.join(KEY_FILE), key.serialize_pem().as_bytes())?;
    private_file::write(&directory.join(CERTIFICATE_FILE), pem.as_bytes())?;
    Ok(Authority { pem, issuer: Issuer::new(params, key) })
}

fn params(names: BTreeSet<String>, now: UnixMillis) -> anyhow::Result<CertificateParams> {
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
    Ok(params)
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
