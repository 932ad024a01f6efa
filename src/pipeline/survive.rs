//! A panic ends the frame that it comes of, not the thread that serves all sensors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does some work; where it panics, in what words. Whoever calls gives up whatever the work may have left half done. A program
/// built to abort on panics aborts.
pub(super) fn survived<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| words(&*payload))
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("a panic: {}", text.unwrap_or("without words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_its_words() {
        assert_eq!(survived(|| 3), Ok(3));
        let (plain, made) = ("plain", 7);
        assert_eq!(
            survived(|| -> () { panic!("plain") }),
            Err(format!("a panic: {plain}"))
        );
        assert_eq!(
            survived(|| -> () { panic!("made of {made}") }),
            Err("a panic: made of 7".to_owned())
        );
        assert!(
            survived(|| -> () { std::panic::panic_any(3) })
                .unwrap_err()
                .contains("without words")
        );
    }
}
