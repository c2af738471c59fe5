//! Figures and their table.

/// One measured value, and what it was meant to be.
#[derive(Debug)]
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, goal: None }
    }

    /// Makes one that is a number of things.
    pub fn count(what: impl Into<String>, count: usize) -> Self {
        Self::new(what, f64::from(u32::try_from(count).unwrap_or(u32::MAX)), "")
    }

    #[must_use]
    pub fn at_most(self, goal: f64) -> Self {
        Self { goal: Some(Goal::AtMost(goal)), ..self }
    }

    #[must_use]
    pub fn at_least(self, goal: f64) -> Self {
        Self { goal: Some(Goal::AtLeast(goal)), ..self }
    }

    /// Returns whether the value is what it was meant to be; without a goal it is.
    pub fn is_met(&self) -> bool {
        match self.goal {
            Some(Goal::AtMost(goal)) => self.value <= goal,
            Some(Goal::AtLeast(goal)) => self.value >= goal,
            None => true,
        }
    }

    fn row(&self) -> String {
        let Self { what, value, unit, .. } = self;
        let number = |value: f64| {
            let decimals = if value.abs() < 10.0 { 2 } else { 0 };
            if value.is_infinite() {
                return "never".to_owned();
            }
            format!("{value:.decimals$} {unit}").trim().to_owned()
        };
        let said = if self.is_met() { "yes" } else { "**no**" };
        let (goal, met) = match self.goal {
            Some(Goal::AtMost(goal)) => (format!("≤ {}", number(goal)), said),
            Some(Goal::AtLeast(goal)) => (format!("≥ {}", number(goal)), said),
            None => ("–".to_owned(), "–"),
        };
        format!("| {what} | {} | {goal} | {met} |\n", number(*value))
    }
}

/// A Markdown table.
pub fn table(figures: &[Figure]) -> String {
    let rows: String = figures.iter().map(Figure::row).collect();
    format!("| figure | measured | goal | met |\n|---|---|---|---|\n{rows}")
}

/// The sample that `percent` of all samples reach at most (nearest rank).
pub fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent * sorted.len()).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_of_the_nearest_rank() {
        let samples: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        for (percent, expected) in [(50, 10.0), (95, 19.0), (100, 20.0), (0, 1.0)] {
            let found = percentile(&samples, percent);
            assert!(found.total_cmp(&expected).is_eq(), "{percent} %: {found}");
        }
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn a_missed_goal_is_said() {
        let row = Figure::new("time", 12.4, "ms").at_most(10.0).row();
        assert_eq!(row, "| time | 12 ms | ≤ 10 ms | **no** |\n");
        let row = Figure::new("shown", 99.5, "%").at_least(99.0).row();
        assert_eq!(row, "| shown | 100 % | ≥ 99 % | yes |\n");
    }
}
