//! Signatures that no stock tool makes on demand. They carry their own public keys; the private ones were thrown away.

/// What the security keys signed, in namespace `deploy-record`.
pub const MESSAGE: &[u8] = b"message\n";

/// A security key (ed25519) whose user touched it.
pub const SK_ED25519: &str = "\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAg6kpsY+
KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iwAAAAEc3NoOgAAAA1kZXBsb3ktcmVjb3Jk
AAAAAAAAAAZzaGE1MTIAAABnAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQP
X6N9HMtp22B30bVObyfR/n/zwM1gj+lRV6F92hm6WXSfbldMG0j4rfRAfSw4JdHmYQSymt
WMFe0BKNdo9Bkg0BAAAABw==
-----END SSH SIGNATURE-----
";

/// The same security key, without a touch.
pub const SK_ED25519_UNTOUCHED: &str = "\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAg6kpsY+
KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iwAAAAEc3NoOgAAAA1kZXBsb3ktcmVjb3Jk
AAAAAAAAAAZzaGE1MTIAAABnAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQK
mtlk+i9gBPDGVgVNJOGPNEqIu72XgPumrndYK7aZLhfuX4DpOWXY8LQEQUdLKPT2VSl4fE
cHfdSc2X4Cs2uAoAAAAABw==
-----END SSH SIGNATURE-----
";

/// A security key (ECDSA P-256) whose user touched it.
pub const SK_ECDSA: &str = "\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAH8AAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3NoLmNvbQ
AAAAhuaXN0cDI1NgAAAEEEcTX6T9k6Cdzpi79oG0v89Q58DWNU5ir7C/8qNClheGXtTB8C
3bkCPuVqVX5RXWqdxmwR8iCWDeWUM031iHdnJAAAAARzc2g6AAAADWRlcGxveS1yZWNvcm
QAAAAAAAAABnNoYTUxMgAAAHkAAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3No
LmNvbQAAAEoAAAAhAM/x31LoN3n4wBxnoP1egX4iXRj2SP0EoZF3zYtsF1/+AAAAIQDoF1
62GDBCxgqyzMvPT9urHheaWupmnNDZ6Ul62/DDuQEAAAAH
-----END SSH SIGNATURE-----
";

/// The same security key, without a touch.
pub const SK_ECDSA_UNTOUCHED: &str = "\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAH8AAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3NoLmNvbQ
AAAAhuaXN0cDI1NgAAAEEEcTX6T9k6Cdzpi79oG0v89Q58DWNU5ir7C/8qNClheGXtTB8C
3bkCPuVqVX5RXWqdxmwR8iCWDeWUM031iHdnJAAAAARzc2g6AAAADWRlcGxveS1yZWNvcm
QAAAAAAAAABnNoYTUxMgAAAHkAAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3No
LmNvbQAAAEoAAAAhALuwgulRCbmuz8MPqjKs3lQRMruJRqWpIDHm4Nq46tvAAAAAIQDasC
QJg02qSIJmJA+xZ9JSmf5Zdrp/arM/ngiVG1jFugAAAAAH
-----END SSH SIGNATURE-----
";

/// What [`RSA_SHORT`] is about, in namespace `deploy-record`.
pub const RSA_SHORT_MESSAGE: &[u8] = b"message 110\n";

/// A signature by an RSA key of 2048 bits in 255 bytes: its number begins with a zero byte that was left out, as RFC 8332 § 3
/// allows.
pub const RSA_SHORT: &str = "\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAKI1HISrMDXGWDpy3laAWN
t9OqGq59uUW7g7KXE0jGIGtHXg+/wUQrA4qV5xaKXjZDG/KFvUitbuV1r9gJMPZUlddZe0
s++KnTk1tITLiCxo0Sj3nbpHjA1mTqfmAkooheRkTbAsWQ8k7Tfpp5fh4l6A/BaO8wfjPj
IBEJgwmrSznouTDuKYWZ7mZJ9yZJfQ+pQsMWE+4dACUZfwmPOIvLmbBTewwnuymPQSLvN2
DIWib5sZcVw6UnQ4jVUlsnXKYerH7Jihftiw9tRE6DI6uYaGAG/aaCo8Yi/NGnIhBBEK9v
4aaCf12tQeJMq+03ytFRNUASIUevqNx4985i31YRsAAAANZGVwbG95LXJlY29yZAAAAAAA
AAAGc2hhNTEyAAABEwAAAAxyc2Etc2hhMi01MTIAAAD/Nr7AtA44cNw8Lbd3QO45DjP0So
n8I53SPTk4Vmb7uQdHA/Q8Dd+bdGLoekZjnEvMWKQM6qugH85BVo56LTcFY0vhLHSdVYsJ
oDiqjNn/1t/R0a87TuZyQlVGiQhMLKoJoyxX6lepTkrXyf8ktetmCmIDtV7GOaelKpUu1J
RDWxYCRanMyhG2PI4izMN+XL/1sHHqjnluISvZvGhFh7kscWFXDCk/w+LfVH3XYEqV9UWh
BrmbNyr6MVoHU/E2hCU0XYfNEFGfcvbw+wpSrUH5UrvQ2YVcfrf3A5SvEagCvUFsxjfGVJ
f7i/KOCqIt4db3F6z1bJcPHp17/T586yN9
-----END SSH SIGNATURE-----
";
