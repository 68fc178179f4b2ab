// Prints what a URL answers, by whichever TLS it was built with: reqwest URL
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("no URL")?;
    print!("{}", reqwest::blocking::get(url)?.text()?);
    Ok(())
}
