//! What parses as an address is written in a form that parses to the same.
#![no_main]
use facteur_address::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(address) = Address::parse(text) {
        assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(&address));
        let _ = address.split_detail("+-");
        let _ = address.folded();
    }
});
