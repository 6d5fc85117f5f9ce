//! The four charts of the reference, and one of the host's drift, as Plotly figures.

use plotly::common::{
    DashType, ErrorData, ErrorType, HoverInfo, Line, Marker, MarkerSymbol, Mode, Orientation,
};
use plotly::layout::{Axis, AxisType, BarMode, Layout, Legend, Margin, RangeMode};
use plotly::{Bar, Plot, Scatter};

use super::text::{p95_text, rate_text};
use crate::model::ComponentName;
use crate::query::{CaseSummary, Residual};
use crate::store::Manifest;

/// A chart with the words around it.
pub(super) struct Chart {
    /// Its element's id.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What to look for, and which cases are drawn.
    pub caption: String,
    /// The Plotly figure as JSON, safe inside a script element.
    pub figure: String,
}

/// The charts of a dataset.
pub(super) fn charts(
    manifest: &Manifest,
    cases: &[CaseSummary],
    residuals: &[Residual],
) -> Vec<Chart> {
    let experiment = &manifest.experiment;
    let least = experiment.concurrency.iter().copied().min().unwrap_or(0);
    let most_workers = experiment.workers.iter().copied().max().unwrap_or(0);
    let most_target = experiment.qps.iter().copied().max().unwrap_or(0);
    let at_least: Vec<&CaseSummary> =
        cases.iter().filter(|summary| summary.case.concurrency == least).collect();
    let series = Series::of(manifest, &at_least);
    let mut charts = vec![
        Chart {
            id: "achieved-rate",
            title: "Achieved against target rate",
            caption: format!(
                "Where a line leaves the diagonal, the stack is full. Mean ± standard deviation over repetitions, {least} connections. {HOLLOW}"
            ),
            figure: achieved_against_target(&series, &experiment.qps),
        },
        Chart {
            id: "p95",
            title: "p95 latency against target rate",
            caption: format!(
                "p95 of the repetitions' merged distributions ± standard deviation of their own p95, {least} connections. An open triangle is a lower bound: the deadline cut off so many requests that the true value is higher. {HOLLOW}"
            ),
            figure: p95_against_target(&series),
        },
        Chart {
            id: "workers",
            title: "Achieved rate against workers",
            caption: format!(
                "Mean ± standard deviation at a target of {most_target} requests per second, {least} connections."
            ),
            figure: rate_against_workers(manifest, &at_least, most_target),
        },
        Chart {
            id: "stores",
            title: "Stores against each other",
            caption: format!(
                "Mean ± standard deviation with {most_workers} worker{} at a target of {most_target} requests per second, {least} connections.",
                if most_workers == 1 { "" } else { "s" }
            ),
            figure: stores_compared(manifest, &at_least, most_workers, most_target),
        },
    ];
    if !residuals.is_empty() {
        charts.push(Chart {
            id: "drift",
            title: "Did the host drift?",
            caption: "The median latency of each valid trial over that of its case, in the order of execution. A slope is the host's doing; where one stack lies above another all along, the order has favoured somebody.".to_owned(),
            figure: drift(manifest, residuals),
        });
    }
    charts
}

/// What a hollow marker is.
const HOLLOW: &str = "A hollow marker is a case none of whose trials may be ranked: see the flags.";

/// Okabe and Ito 2008, *Color Universal Design*: told apart by most colour-blind readers.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
/// The second code, for those who do not see the first.
const SYMBOLS: [MarkerSymbol; 6] = [
    MarkerSymbol::Circle,
    MarkerSymbol::Square,
    MarkerSymbol::Diamond,
    MarkerSymbol::Cross,
    MarkerSymbol::X,
    MarkerSymbol::Star,
];
/// Lines of more workers are less broken.
const DASHES: [DashType; 3] = [DashType::Solid, DashType::Dash, DashType::Dot];

/// The cases of one stack, by target rate.
struct Series<'a> {
    name: String,
    colour: &'static str,
    symbol: MarkerSymbol,
    dash: DashType,
    cases: Vec<&'a CaseSummary>,
}

impl<'a> Series<'a> {
    fn of(manifest: &Manifest, cases: &[&'a CaseSummary]) -> Vec<Self> {
        let mut worker_counts = manifest.experiment.workers.clone();
        worker_counts.sort_unstable_by(|a, b| b.cmp(a));
        let same_stack = |a: &&CaseSummary, b: &&CaseSummary| a.case.stack == b.case.stack;
        cases
            .chunk_by(same_stack)
            .map(|cases| {
                let stack = &cases[0].case.stack;
                let look = look_of(manifest, &stack.app, &stack.store);
                let rank = worker_counts.iter().position(|&count| count == stack.workers);
                Self {
                    name: stack_name(manifest, cases[0]),
                    colour: COLOURS[look],
                    symbol: SYMBOLS[look].clone(),
                    dash: DASHES[rank.unwrap_or(0).min(DASHES.len() - 1)].clone(),
                    cases: cases.to_vec(),
                }
            })
            .collect()
    }
}

fn achieved_against_target(series: &[Series<'_>], targets: &[u32]) -> String {
    let mut plot = Plot::new();
    let ends = vec![0.0, targets.iter().copied().max().map_or(0.0, f64::from)];
    let diagonal = Scatter::new(ends.clone(), ends)
        .name("achieved = target")
        .mode(Mode::Lines)
        .hover_info(HoverInfo::Skip)
        .line(Line::new().color("#888888").width(1.0).dash(DashType::DashDot));
    plot.add_trace(diagonal);
    for one in series {
        let measured = measured_rates(&one.cases);
        let x: Vec<f64> =
            measured.iter().map(|(case, _)| f64::from(case.case.target_rps)).collect();
        plot.add_trace(rate_trace(one, x, &measured));
    }
    plot.set_layout(layout("target, requests/s", "achieved, requests/s", series.len() + 1));
    figure(&plot)
}

fn p95_against_target(series: &[Series<'_>]) -> String {
    let mut plot = Plot::new();
    for one in series {
        let known: Vec<(&CaseSummary, f64)> = one
            .cases
            .iter()
            .filter_map(|&case| Some((case, case.p95?.as_secs_f64() * 1e3)))
            .collect();
        let targets = |cases: &[(&CaseSummary, f64)]| -> Vec<f64> {
            cases.iter().map(|(case, _)| f64::from(case.case.target_rps)).collect()
        };
        let values =
            |cases: &[(&CaseSummary, f64)]| cases.iter().map(|&(_, ms)| ms).collect::<Vec<f64>>();
        let words = |cases: &[(&CaseSummary, f64)]| -> Vec<String> {
            cases.iter().map(|(case, _)| format!("{}<br>{}", one.name, p95_words(case))).collect()
        };
        let spread = known.iter().map(|(case, _)| match case.p95_is_bound {
            true => 0.0,
            false => case.p95_stddev_ns.unwrap_or(0.0) / 1e6,
        });
        let (bounds, numbers): (Vec<_>, Vec<_>) =
            known.iter().partition(|(case, _)| case.p95_is_bound);
        let line = Scatter::new(targets(&known), values(&known))
            .name(&one.name)
            .legend_group(&one.name)
            .mode(Mode::Lines)
            .hover_info(HoverInfo::Skip)
            .show_legend(false)
            .line(Line::new().color(one.colour).dash(one.dash.clone()))
            .error_y(error_bars(spread.collect()));
        plot.add_trace(line);
        for (cases, symbol, legend) in [
            (&numbers, one.symbol.clone(), true),
            (&bounds, MarkerSymbol::TriangleUpOpen, numbers.is_empty()),
        ] {
            if cases.is_empty() {
                continue;
            }
            // A bound's marker is open in any case.
            let marker = match symbol {
                MarkerSymbol::TriangleUpOpen => Marker::new().color(one.colour),
                _ => marker(one.colour, cases.iter().map(|(case, _)| *case)),
            };
            let markers = Scatter::new(targets(cases), values(cases))
                .name(&one.name)
                .legend_group(&one.name)
                .mode(Mode::Markers)
                .hover_text_array(words(cases))
                .hover_info(HoverInfo::Text)
                .show_legend(legend)
                .marker(marker.symbol(symbol).size(10));
            plot.add_trace(markers);
        }
    }
    let mut layout = layout("target, requests/s", "p95, ms", series.len());
    layout = layout.y_axis(Axis::new().title("p95, ms").type_(AxisType::Log).auto_margin(true));
    plot.set_layout(layout);
    figure(&plot)
}

fn rate_against_workers(manifest: &Manifest, cases: &[&CaseSummary], target: u32) -> String {
    let mut plot = Plot::new();
    for app in &manifest.experiment.apps {
        for store in &manifest.experiment.stores {
            let mut own: Vec<&CaseSummary> = cases
                .iter()
                .copied()
                .filter(|summary| {
                    let case = &summary.case;
                    case.target_rps == target
                        && case.stack.app == *app
                        && case.stack.store == *store
                })
                .collect();
            own.sort_by_key(|summary| summary.case.stack.workers);
            let look = look_of(manifest, app, store);
            let one = Series {
                name: format!("{} · {}", title(manifest, app), title(manifest, store)),
                colour: COLOURS[look],
                symbol: SYMBOLS[look].clone(),
                dash: DashType::Solid,
                cases: own,
            };
            let measured = measured_rates(&one.cases);
            let x = measured.iter().map(|(summary, _)| f64::from(summary.case.stack.workers));
            plot.add_trace(rate_trace(&one, x.collect(), &measured));
        }
    }
    let stack_pairs = manifest.experiment.apps.len() * manifest.experiment.stores.len();
    let workers: Vec<f64> =
        manifest.experiment.workers.iter().map(|&count| f64::from(count)).collect();
    let mut layout = layout("workers", "achieved, requests/s", stack_pairs);
    layout = layout.x_axis(Axis::new().title("workers").tick_values(workers));
    plot.set_layout(layout);
    figure(&plot)
}

fn stores_compared(
    manifest: &Manifest,
    cases: &[&CaseSummary],
    workers: u32,
    target: u32,
) -> String {
    let mut plot = Plot::new();
    for (index, store) in manifest.experiment.stores.iter().enumerate() {
        let own: Vec<&CaseSummary> = cases
            .iter()
            .copied()
            .filter(|summary| {
                let case = &summary.case;
                case.stack.store == *store
                    && case.stack.workers == workers
                    && case.target_rps == target
            })
            .collect();
        let measured = measured_rates(&own);
        let apps = measured.iter().map(|(summary, _)| title(manifest, &summary.case.stack.app));
        let bar = Bar::new(apps.collect(), measured.iter().map(|&(_, rate)| rate).collect())
            .name(title(manifest, store))
            .hover_text_array(rate_words(manifest, &measured))
            .hover_info(HoverInfo::Text)
            .marker(marker(
                COLOURS[index % COLOURS.len()],
                measured.iter().map(|(summary, _)| *summary),
            ))
            .error_y(error_bars(rate_spread(&measured)));
        plot.add_trace(bar);
    }
    let mut layout = layout("", "achieved, requests/s", manifest.experiment.stores.len())
        .bar_mode(BarMode::Group);
    layout = layout.x_axis(Axis::new().type_(AxisType::Category));
    plot.set_layout(layout);
    figure(&plot)
}

fn drift(manifest: &Manifest, residuals: &[Residual]) -> String {
    let mut plot = Plot::new();
    for app in &manifest.experiment.apps {
        for store in &manifest.experiment.stores {
            let own = || {
                residuals
                    .iter()
                    .filter(|one| one.case.stack.app == *app && one.case.stack.store == *store)
            };
            let look = look_of(manifest, app, store);
            let words = own().map(|one| format!("trial {}<br>{}", one.position, one.case));
            #[expect(clippy::cast_precision_loss, reason = "trials are counted to a million")]
            let positions = own().map(|one| one.position as f64).collect();
            let trace = Scatter::new(positions, own().map(|one| one.ratio).collect())
                .name(format!("{} · {}", title(manifest, app), title(manifest, store)))
                .mode(Mode::Markers)
                .hover_text_array(words.collect())
                .hover_info(HoverInfo::Text)
                .marker(Marker::new().color(COLOURS[look]).symbol(SYMBOLS[look].clone()).size(7));
            plot.add_trace(trace);
        }
    }
    let stack_pairs = manifest.experiment.apps.len() * manifest.experiment.stores.len();
    let mut layout =
        layout("place in the order of execution", "p50 over the case's own", stack_pairs);
    let axis = Axis::new().title("p50 over the case's own").type_(AxisType::Log).auto_margin(true);
    layout = layout.y_axis(axis);
    plot.set_layout(layout);
    figure(&plot)
}

fn rate_trace(
    one: &Series<'_>,
    x: Vec<f64>,
    measured: &[(&CaseSummary, f64)],
) -> Box<Scatter<f64, f64>> {
    let words =
        measured.iter().map(|(summary, _)| format!("{}<br>{}", one.name, rate_in_words(summary)));
    Scatter::new(x, measured.iter().map(|&(_, rate)| rate).collect())
        .name(&one.name)
        .mode(Mode::LinesMarkers)
        .hover_text_array(words.collect())
        .hover_info(HoverInfo::Text)
        .line(Line::new().color(one.colour).dash(one.dash.clone()))
        .marker(
            marker(one.colour, measured.iter().map(|(summary, _)| *summary))
                .symbol(one.symbol.clone())
                .size(9),
        )
        .error_y(error_bars(rate_spread(measured)))
}

/// Filled, and hollow for each case that may not be ranked.
fn marker<'a>(colour: &'static str, cases: impl Iterator<Item = &'a CaseSummary>) -> Marker {
    let fill = |summary: &CaseSummary| if summary.is_ranked() { colour } else { "rgba(0,0,0,0)" };
    Marker::new().color_array(cases.map(fill).collect()).line(Line::new().color(colour).width(1.5))
}

fn measured_rates<'a>(cases: &[&'a CaseSummary]) -> Vec<(&'a CaseSummary, f64)> {
    cases.iter().filter_map(|&summary| Some((summary, summary.achieved_rps?))).collect()
}

fn rate_spread(measured: &[(&CaseSummary, f64)]) -> Vec<f64> {
    measured.iter().map(|(summary, _)| summary.achieved_rps_stddev.unwrap_or(0.0)).collect()
}

fn rate_words(manifest: &Manifest, measured: &[(&CaseSummary, f64)]) -> Vec<String> {
    let words = |summary: &CaseSummary| {
        format!("{}<br>{}", stack_name(manifest, summary), rate_in_words(summary))
    };
    measured.iter().map(|(summary, _)| words(summary)).collect()
}

fn rate_in_words(summary: &CaseSummary) -> String {
    format!("target {}/s<br>achieved {}", summary.case.target_rps, rate_text(summary))
}

fn p95_words(summary: &CaseSummary) -> String {
    format!("target {}/s<br>p95 {}", summary.case.target_rps, p95_text(summary))
}

fn error_bars(spread: Vec<f64>) -> ErrorData {
    ErrorData::new(ErrorType::Data).array(spread).thickness(1.2)
}

/// Which colour and symbol an app on a store has.
fn look_of(manifest: &Manifest, app: &ComponentName, store: &ComponentName) -> usize {
    let experiment = &manifest.experiment;
    let app = experiment.apps.iter().position(|name| name == app).unwrap_or(0);
    let store = experiment.stores.iter().position(|name| name == store).unwrap_or(0);
    (app * experiment.stores.len() + store) % COLOURS.len()
}

fn stack_name(manifest: &Manifest, summary: &CaseSummary) -> String {
    let stack = &summary.case.stack;
    let (app, store) = (title(manifest, &stack.app), title(manifest, &stack.store));
    format!("{app} · {store} · {}w", stack.workers)
}

/// A component's name for people. Plotly reads some HTML in names, so it is escaped.
fn title(manifest: &Manifest, name: &ComponentName) -> String {
    let found = manifest.bundle.components.iter().find(|component| component.name == *name);
    let title = found.map_or(name.as_str(), |component| &component.title);
    title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Height of a chart without its legend, in pixels.
const PLOT_HEIGHT: usize = 380;
/// Height of one row of a legend, which has two entries or more.
const LEGEND_ROW: usize = 22;

/// A quiet layout, with room below for a legend of `entries`.
fn layout(x: &str, y: &str, entries: usize) -> Layout {
    let legend = Legend::new().orientation(Orientation::Horizontal).x(0.0).y(-0.22);
    Layout::new()
        .auto_size(true)
        .height(PLOT_HEIGHT + LEGEND_ROW * entries.div_ceil(2))
        .margin(Margin::new().left(64).right(16).top(16).bottom(48))
        .paper_background_color("rgba(0,0,0,0)")
        .plot_background_color("rgba(0,0,0,0)")
        .legend(legend)
        .x_axis(Axis::new().title(x).range_mode(RangeMode::ToZero))
        .y_axis(Axis::new().title(y).range_mode(RangeMode::ToZero).auto_margin(true))
}

/// A figure as JSON that no text in it can lead out of its script element.
pub(super) fn figure(plot: &Plot) -> String {
    plot.to_json()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
