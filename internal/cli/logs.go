package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) logsCmd() *cobra.Command {
	var q api.LogQuery
	var since string
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show what an app and its builds said",
		Long: `Show what an app, its builds and the platform about it said, oldest first. With -f it goes
on until Ctrl-C, also across a restart of the platform. --json prints an object a line.
--since leaves out what is older, among the last lines that -n asks for.`,
		Example: "  slipway logs\n  slipway logs -f -n 10\n  slipway logs -p worker --since 10m\n  slipway logs --source build",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			if q.Source != "" && !slices.Contains(logSources, q.Source) {
				return &usageError{"slipway logs", fmt.Sprintf("--source is one of %s", strings.Join(logSources, ", "))}
			}
			if q.Lines < 0 {
				return &usageError{"slipway logs", "-n is how many lines: 1 or more"}
			}
			from, err := c.moment("slipway logs", since)
			if err != nil {
				return err
			}
			if since != "" && q.Lines == 0 {
				q.Lines = sinceLines
			}
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			err = c.logs(ctx, s, app, q, from)
			if q.Follow && ctx.Err() != nil {
				return nil // Ctrl-C is how following ends
			}
			return err
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&q.Follow, "follow", "f", false, "go on as lines come")
	flags.BoolVarP(&q.Follow, "tail", "t", false, "the same as --follow")
	flags.IntVarP(&q.Lines, "lines", "n", 0, "begin with the last so many; 100 unless told")
	flags.StringVar(&since, "since", "", "only from then on: 10m, 2h, 7d, 2026-01-31 or RFC 3339")
	flags.StringVarP(&q.Process, "process", "p", "", "only of this process `type`")
	flags.StringVar(&q.Source, "source", "", "only of app, build or controller")
	must(flags.MarkHidden("tail"))
	must(cmd.RegisterFlagCompletionFunc("process", c.completeTypes))
	must(cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(logSources, cobra.ShellCompDirectiveNoFileComp)))
	return c.ofApp(cmd)
}

var logSources = []string{platform.LogApp, platform.LogBuild, platform.LogController}

// sinceLines is how many lines are looked at for --since.
const sinceLines = 10000

// maxLine bounds a line of the stream, in bytes; longer ones come in pieces.
const maxLine = 64 << 10

// The pauses between attempts to come back to a stream that broke.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 15 * time.Second
)

func (c *cli) logs(ctx context.Context, s *session, app string, q api.LogQuery, from time.Time) error {
	p := &logPrinter{cli: c, from: from}
	err := p.stream(ctx, s, app, q)
	if err != nil || !q.Follow {
		if err == nil && p.count == 0 {
			c.none("%s", nothingSaid(app, q, from))
		}
		return err
	}
	// What follows is after the first answer: the platform restarts, or the
	// network is away.
	c.stderr.say("%s", c.stderr.paint(faint, "The stream ended; coming back to it."))
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		seen := p.count
		p.again()
		err := p.stream(ctx, s, app, q)
		if err != nil && !errors.Is(err, platform.ErrUnavailable) {
			return err
		}
		if p.count > seen {
			pause = firstPause
		}
	}
	return ctx.Err()
}

// nothingSaid tells an app that is silent from a question that leaves all out.
func nothingSaid(app string, q api.LogQuery, from time.Time) string {
	if q.Process == "" && q.Source == "" && from.IsZero() {
		return app + " has said nothing yet."
	}
	return "Nothing of that kind is in the log of " + app + ". See all of it with: slipway logs -a " + app
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// logPrinter prints lines, and knows which ones it printed when a stream is
// opened again and repeats them.
type logPrinter struct {
	*cli
	from   time.Time // lines before it are left out
	count  int
	newest string          // time of the newest line
	recent map[uint64]bool // lines of that time
	repeat string          // skip what is older, and at this time what is known
	known  map[uint64]bool
}

// again expects that the next stream begins with lines of the last.
func (p *logPrinter) again() {
	p.repeat, p.known = p.newest, p.recent
	p.recent = nil
	p.newest = ""
}

// stream prints lines until the stream ends; a broken one has ended when the
// query follows.
func (p *logPrinter) stream(ctx context.Context, s *session, app string, q api.LogQuery) error {
	stream, err := s.Logs(ctx, app, q)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, maxLine)
	for {
		piece, err := lines.ReadSlice('\n')
		if len(piece) > 0 {
			if err := p.line(strings.TrimRight(string(piece), "\r\n")); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull), err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF), q.Follow:
			return nil
		default:
			return &client.ConnectError{URL: s.URL(), Err: fmt.Errorf("the lines broke off: %w", err)}
		}
	}
}

func (p *logPrinter) line(text string) error {
	at, _, _ := strings.Cut(text, " ")
	sum := hash(text)
	if p.repeat != "" && (at < p.repeat || at == p.repeat && p.known[sum]) {
		p.remember(at, sum)
		return nil
	}
	p.remember(at, sum)
	if t, err := time.Parse(time.RFC3339, at); err == nil && t.Before(p.from) {
		return nil
	}
	p.count++
	if p.json {
		object := json.NewEncoder(p.stdout)
		object.SetEscapeHTML(false)
		return object.Encode(parseLogLine(text))
	}
	_, err := fmt.Fprintln(p.stdout, p.paintLine(text))
	return err
}

func (p *logPrinter) remember(at string, sum uint64) {
	if p.recent == nil || at > p.newest {
		p.newest, p.recent = at, map[uint64]bool{}
	}
	p.recent[sum] = true
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

// logLine is "2016-10-18T20:29:40+00:00 foo[web.v2.x3ten]: GET / 200".
var logLine = regexp.MustCompile(`^(\S+) ([^\s\[]+)\[([^\]\s]*)\]: ?(.*)$`)

// parsedLine is a line of the stream as JSON.
type parsedLine struct {
	Time     string `json:"time,omitempty"`
	Source   string `json:"source,omitempty"` // app, build or controller
	Process  string `json:"process,omitempty"`
	Release  string `json:"release,omitempty"`
	Instance string `json:"instance,omitempty"`
	Text     string `json:"text"`
}

func parseLogLine(text string) parsedLine {
	match := logLine.FindStringSubmatch(text)
	if match == nil {
		return parsedLine{Text: text}
	}
	line := parsedLine{Time: match[1], Source: platform.LogApp, Text: match[4]}
	parts := strings.SplitN(match[3], ".", 3)
	switch {
	case len(parts) == 3:
		line.Process, line.Release, line.Instance = parts[0], parts[1], parts[2]
	case match[3] == platform.LogBuild || match[3] == platform.LogController:
		line.Source = match[3]
	default:
		line.Process = match[3]
	}
	return line
}

// paintLine makes who speaks stand out from what is said, which stays as the
// app wrote it, colours included.
func (p *logPrinter) paintLine(text string) string {
	if !p.stdout.colour {
		return text
	}
	match := logLine.FindStringSubmatchIndex(text)
	if match == nil {
		return text
	}
	head, said := text[:match[8]], text[match[8]:]
	tag := text[match[6]:match[7]]
	tone := faint
	if tag == platform.LogController {
		tone = strong
	}
	return p.stdout.paint(tone, strings.TrimRight(head, " ")) + " " + said + reset(said)
}

// reset ends the colours a line began and may have left on.
func reset(text string) string {
	if strings.Contains(text, "\x1b[") {
		return "\x1b[0m"
	}
	return ""
}
