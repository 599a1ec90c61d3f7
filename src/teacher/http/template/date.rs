//! A date without a clock, written as templates ask for it.

/// A day of the calendar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Date {
    year: i32,
    /// From 1.
    month: usize,
    /// From 1.
    day: u32,
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Date {
    /// Reads `YYYY-MM-DD`.
    pub(super) fn read(written: &str) -> Result<Self, String> {
        let wrong = || format!("read the date {written}: it must be YYYY-MM-DD");
        let mut parts = written.splitn(3, '-').map(str::parse::<u32>);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(year @ 1..=9999)), Some(Ok(month @ 1..=12)), Some(Ok(day @ 1..=31))) => {
                Ok(Self { year: i32::try_from(year).map_err(|_| wrong())?, month: usize::try_from(month).map_err(|_| wrong())?, day })
            }
            _ => Err(wrong()),
        }
    }

    /// As `strftime` writes it, at midnight. Codes of dates and hours only; others are an error that names them.
    pub(super) fn format(self, format: &str) -> Result<String, String> {
        let mut written = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                written.push(char);
                continue;
            }
            let code = chars.next().unwrap_or(' ');
            let (is_unpadded, code) = if code == '-' { (true, chars.next().unwrap_or(' ')) } else { (false, code) };
            let number = |number: u32| if is_unpadded { number.to_string() } else { format!("{number:02}") };
            let month = MONTHS.get(self.month - 1).copied().unwrap_or_default();
            let short = |word: &str| word.chars().take(3).collect::<String>();
            written.push_str(&match code {
                'Y' => format!("{:04}", self.year),
                'y' => format!("{:02}", self.year % 100),
                'm' => number(u32::try_from(self.month).unwrap_or_default()),
                'd' => number(self.day),
                'B' => month.to_owned(),
                'b' => short(month),
                'A' => self.weekday().to_owned(),
                'a' => short(self.weekday()),
                'H' | 'M' | 'S' => number(0),
                'F' => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
                '%' => "%".to_owned(),
                other => return Err(format!("write the date as `{format}`: %{other} is not known here")),
            });
        }
        Ok(written)
    }

    /// Sakamoto's rule.
    fn weekday(self) -> &'static str {
        const SHIFTS: [i32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = if self.month < 3 { self.year - 1 } else { self.year };
        let shift = SHIFTS.get(self.month - 1).copied().unwrap_or_default();
        let day = i32::try_from(self.day).unwrap_or_default();
        let number = (year + year / 4 - year / 100 + year / 400 + shift + day).rem_euclid(7);
        usize::try_from(number).ok().and_then(|number| WEEKDAYS.get(number)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_templates_ask() {
        let date = Date::read("2026-02-03").expect("a date");
        assert_eq!(date.format("%d %b %Y"), Ok("03 Feb 2026".to_owned()));
        assert_eq!(date.format("%A, %B %-d, %y (%F) %H:%M 100%%"), Ok("Tuesday, February 3, 26 (2026-02-03) 00:00 100%".to_owned()));
        assert_eq!(Date::read("2000-01-01").expect("a date").format("%a"), Ok("Sat".to_owned()));
        assert!(date.format("%Z").expect_err("no zone").contains("%Z"));
        for wrong in ["", "2026", "2026-13-01", "2026-01-0", "tomorrow", "2026-01-01T00"] {
            assert!(Date::read(wrong).is_err(), "{wrong}");
        }
    }
}
