package builder

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what a build may print.
const (
	maxLine   = 8 << 10  // bytes; the rest of a line is dropped
	maxOutput = 64 << 20 // bytes; later lines are dropped
)

// Output words a build's story for the user: headlines as they are, all else
// indented by seven spaces. It knows when the build last printed something.
// Safe for concurrent use; write errors of the user's side are ignored, for a
// build goes on when its user leaves.
type Output struct {
	mu      sync.Mutex
	to      io.Writer
	line    []byte // the unfinished line, at most maxLine
	cut     bool   // the unfinished line is longer
	written int64
	last    time.Time // of the last byte from the build
	beat    time.Time // of the last line to the user
	tail    []string  // the last lines, for errors
	hidden  *strings.Replacer
}

// minHidden is the shortest value worth hiding: shorter ones are in every text.
const minHidden = 4

// Hide shows names in place of config values: the trace of a build has them in
// many lines, and more people read the log than may read the config.
func (o *Output) Hide(config map[string]string) {
	var pairs []string
	add := func(key, value string) {
		if len(value) >= minHidden {
			pairs = append(pairs, value, "["+key+"]")
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(config), func(a, b string) int { return len(config[b]) - len(config[a]) }) {
		for line := range strings.Lines(config[key]) {
			line = strings.TrimRight(line, "\r\n")
			add(key, line)
			add(key, strings.ReplaceAll(line, "'", `'\''`)) // as a trace quotes it
		}
	}
	o.hidden = strings.NewReplacer(pairs...)
}

// NewOutput returns an Output for the user behind to.
func NewOutput(to io.Writer) *Output {
	now := time.Now()
	return &Output{to: to, last: now, beat: now}
}

const indent = "       "

// Headline prints "-----> text".
func (o *Output) Headline(text string) { o.Print("-----> " + text) }

// Detail prints an indented line.
func (o *Output) Detail(text string) { o.Print(indent + text) }

// Print prints a line as it is.
func (o *Output) Print(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.emit(line)
}

// Heartbeat prints "..." when nothing was printed for the given time.
func (o *Output) Heartbeat(after time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.beat) >= after {
		o.emit("...")
	}
}

// Silent is how long the build has not printed anything.
func (o *Output) Silent() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.last)
}

// Write takes what the build prints.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			o.keep(p)
			break
		}
		o.keep(p[:end])
		o.finishLine()
		p = p[end+1:]
	}
	return n, nil
}

// Flush prints an unfinished line.
func (o *Output) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) > 0 {
		o.finishLine()
	}
}

func (o *Output) keep(p []byte) {
	if room := maxLine - len(o.line); len(p) > room {
		p, o.cut = p[:room], true
	}
	o.line = append(o.line, p...)
}

func (o *Output) finishLine() {
	text := clean(o.line)
	if o.hidden != nil {
		text = o.hidden.Replace(text)
	}
	if o.cut {
		text += " …"
	}
	o.line, o.cut = o.line[:0], false
	if o.written > maxOutput {
		return
	}
	if o.tail = append(o.tail, text); len(o.tail) > 10 {
		o.tail = o.tail[1:]
	}
	if !strings.HasPrefix(text, "--") && !strings.HasPrefix(text, indent) && text != "" {
		text = indent + text
	}
	o.emit(text)
	if o.written > maxOutput {
		o.emit(indent + "(the build goes on; more than 64 MiB of output are not shown)")
	}
}

func (o *Output) emit(line string) {
	o.beat = time.Now()
	n, _ := io.WriteString(o.to, line+"\n")
	o.written += int64(n)
}

// LastWords returns the last lines that say something.
func (o *Output) LastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(strings.Join(o.tail, "\n"))
}

// clean makes a line harmless for a terminal: what a carriage return would
// have overwritten is gone, as is every control character but tabs and the
// escape of a colour.
func clean(line []byte) string {
	line = bytes.TrimRight(line, "\r")
	if at := bytes.LastIndexByte(line, '\r'); at >= 0 {
		line = line[at+1:]
	}
	var text strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == 0x1b:
			n := colour(line[i:])
			text.Write(line[i : i+n])
			i += max(n, 1) - 1
		case c >= ' ' && c != 0x7f, c == '\t':
			text.WriteByte(c)
		}
	}
	return strings.ToValidUTF8(text.String(), "�")
}

// colour is the length of the SGR escape sequence line begins with, or 0.
func colour(line []byte) int {
	if len(line) < 3 || line[1] != '[' {
		return 0
	}
	for i := 2; i < len(line) && i < 24; i++ {
		switch c := line[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}
