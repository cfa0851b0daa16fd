//! `millpond top`: the status, live in a terminal.

use super::health::Unhealthy;
use super::view::{ServiceView, View, bound, number, time};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Row, Sparkline, Table};
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// How many answers' rates are kept for the curves.
const KEEP: usize = 300;
/// How often it asks.
const PERIOD: Duration = Duration::from_secs(1);
const WATER: Color = Color::Cyan;
const TROUBLE: Color = Color::Yellow;

/// What is on the screen.
#[derive(Debug, Default)]
pub struct Screen {
    view: View,
    last: Option<Value>,
    /// Of each service, commands a second, the newest first.
    rates: Vec<VecDeque<u64>>,
    selected: usize,
    /// Why the last question had no answer.
    unanswered: Option<String>,
}

impl Screen {
    /// Takes in an answer of `/status`, which came this many seconds after the one before.
    pub fn take(&mut self, status: Value, seconds: f64) {
        self.view = View::of(&status, self.last.as_ref().map(|last| (last, seconds)));
        self.rates.resize(self.view.services.len(), VecDeque::new());
        for (rates, service) in self.rates.iter_mut().zip(&self.view.services) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it saturates"
            )]
            rates.push_front(service.command_rate as u64);
            rates.truncate(KEEP);
        }
        self.selected = self.selected.min(self.view.services.len().saturating_sub(1));
        self.last = Some(status);
        self.unanswered = None;
    }

    /// There was no answer.
    pub fn fail(&mut self, why: &impl ToString) {
        self.unanswered = Some(why.to_string());
    }

    /// Goes on to the next service.
    pub fn next(&mut self) {
        self.selected = (self.selected + 1) % self.view.services.len().max(1);
    }

    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(frame.area());
        frame.render_widget(self.head(), head);
        let (Some(service), Some(rates)) =
            (self.view.services.get(self.selected), self.rates.get(self.selected))
        else {
            return;
        };
        let most = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(3);
        let rows = [
            Constraint::Length(5),
            Constraint::Length(most(service.servers.len())),
            Constraint::Length(most(service.pools.len())),
            Constraint::Min(4),
        ];
        let [now, servers, pools, below] = Layout::vertical(rows).areas(body);
        draw_now(frame, now, service, rates);
        frame.render_widget(servers_table(service), servers);
        frame.render_widget(pools_table(service), pools);
        let halves = [Constraint::Percentage(45), Constraint::Percentage(55)];
        let [pins, events] = Layout::horizontal(halves).areas(below);
        frame.render_widget(pins_table(service), pins);
        let lines = service.events.iter().map(|event| Line::from(event.as_str()));
        let events_block = Block::bordered().title("What happened");
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(events_block), events);
    }

    fn head(&self) -> Line<'_> {
        let View { version, readiness, .. } = &self.view;
        let mut spans = vec![
            Span::from(format!("Millpond {version} ")).bold(),
            Span::from(format!("{readiness} ")),
        ];
        for (index, service) in self.view.services.iter().enumerate() {
            let name = Span::from(format!(" {} ", service.name));
            spans.push(if index == self.selected { name.reversed() } else { name });
        }
        if let Some(why) = &self.unanswered {
            spans.push(Span::styled(format!(" no answer: {why}"), Style::new().fg(TROUBLE)));
        }
        spans.push(Span::from("  q quit, Tab next service").dim());
        Line::from(spans)
    }
}

fn draw_now(frame: &mut Frame<'_>, area: Rect, service: &ServiceView, rates: &VecDeque<u64>) {
    let thirds = [Constraint::Fill(3), Constraint::Fill(2), Constraint::Fill(2)];
    let [commands, connections, clients] = Layout::horizontal(thirds).areas(area);
    let [median, most] = service.command_seconds.map(bound);
    let title = format!("{} commands/s, half {median}, 99 % {most}", number(service.command_rate));
    let shown = usize::from(commands.width.saturating_sub(2));
    // The newest is on the right.
    let curve: Vec<u64> = rates.iter().take(shown).rev().copied().collect();
    let curve = Sparkline::default().data(curve).style(WATER).block(Block::bordered().title(title));
    frame.render_widget(curve, commands);

    let [borrowed, deposited, idle] = service.connections;
    let block = Block::bordered().title("Connections borrowed");
    let [gauge, below] = Layout::vertical([Constraint::Length(2), Constraint::Length(1)])
        .areas(block.inner(connections));
    frame.render_widget(block, connections);
    let share = if service.allowed > 0.0 { borrowed / service.allowed } else { 0.0 };
    let label = format!("{} of {}", number(borrowed), number(service.allowed));
    frame.render_widget(
        Gauge::default().gauge_style(WATER).ratio(share.clamp(0.0, 1.0)).label(label),
        gauge,
    );
    let rest = format!("{} deposited, {} idle", number(deposited), number(idle));
    frame.render_widget(Line::from(rest), below);

    let style = if service.waiting > 0.0 { Style::new().fg(TROUBLE) } else { Style::new() };
    let lines = vec![
        Line::from(format!(
            "{} now, {} new/s",
            number(service.clients),
            number(service.new_clients)
        )),
        Line::styled(
            format!("{} waiting, the oldest {}", number(service.waiting), time(service.oldest)),
            style,
        ),
        Line::from(format!("99 % waited {}", bound(service.borrow_seconds))),
    ];
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("Clients")), clients);
}

fn table<'a, const N: usize>(
    title: &'a str,
    heads: [&'a str; N],
    rows: impl Iterator<Item = Row<'a>>,
) -> Table<'a> {
    let widths = [Constraint::Fill(1); N];
    Table::new(rows, widths).header(Row::new(heads).dim()).block(Block::bordered().title(title))
}

fn servers_table(service: &ServiceView) -> Table<'_> {
    let rows = service.servers.iter().map(|server| {
        let answers = if server.up { "yes" } else { "NO" };
        let lag = server.lag.map_or("–".to_owned(), time);
        let cells = [&*server.address, &*server.zone, &*server.role, answers, &*lag];
        let row = Row::new(cells.map(str::to_owned));
        if server.up { row } else { row.style(Style::new().fg(TROUBLE)) }
    });
    table("Servers", ["server", "zone", "role", "answers", "lag"], rows)
}

fn pools_table(service: &ServiceView) -> Table<'_> {
    let rows = service.pools.iter().map(|pool| {
        let [sessions, _, keeping] = pool.sessions.map(number);
        let [borrowed, deposited, idle] = pool.connections.map(number);
        let [exact, replayed, reset] = pool.alignments.map(number);
        let waiting = number(pool.waiting);
        Row::new([
            pool.user.clone(),
            sessions,
            keeping,
            borrowed,
            deposited,
            idle,
            waiting,
            exact,
            replayed,
            reset,
        ])
    });
    let heads = [
        "user",
        "sessions",
        "keeping",
        "borrowed",
        "deposited",
        "idle",
        "waiting",
        "exact",
        "replayed",
        "reset",
    ];
    table("Pools", heads, rows)
}

fn pins_table(service: &ServiceView) -> Table<'_> {
    let rows = service.pins.iter().map(|pin| {
        Row::new([
            pin.reason.clone(),
            number(pin.now),
            number(pin.ever),
            pin.seconds.map_or("–".to_owned(), time),
        ])
    });
    table("Why sessions keep a connection", ["reason", "now", "ever", "for"], rows)
}

/// Keeps what `ask` answers on the terminal until a key ends it. Blocks.
///
/// # Errors
///
/// When the terminal cannot be used, such as when there is none.
pub fn run(ask: impl Fn() -> Result<Value, Unhealthy>) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let ended = keep(&mut terminal, ask);
    ratatui::try_restore()?;
    ended
}

fn keep(
    terminal: &mut ratatui::DefaultTerminal,
    ask: impl Fn() -> Result<Value, Unhealthy>,
) -> io::Result<()> {
    let mut screen = Screen::default();
    let mut last = Instant::now();
    loop {
        let asked = Instant::now();
        match ask() {
            Ok(status) => {
                screen.take(status, asked.duration_since(last).as_secs_f64());
                last = asked;
            }
            Err(why) => screen.fail(&why),
        }
        loop {
            terminal.draw(|frame| screen.draw(frame))?;
            let left = PERIOD.saturating_sub(asked.elapsed());
            if left.is_zero() || !event::poll(left)? {
                break;
            }
            let Event::Key(key) = event::read()? else { continue };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if control => return Ok(()),
                KeyCode::Tab | KeyCode::Right => screen.next(),
                _ => {}
            }
        }
    }
}
