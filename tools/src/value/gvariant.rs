//! GVariant's text form, as gdbus prints it and people type it (tools.md D037): `('tea', uint32 3, {'hot': <true>})`.
//!
//! Where the type is known a number needs no word before it. JSON's arrays and objects of simple values read the
//! same; a value where a variant is wanted need not be in `<…>`.

mod parse;
mod print;

pub(crate) use parse::{NO_SUCH_FD, TextError, control, parse};
pub(crate) use print::{print, print_tuple};
