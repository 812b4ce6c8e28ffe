package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// screen is where text goes: a terminal with a width and perhaps colours, or
// a file or pipe with neither.
type screen struct {
	io.Writer
	terminal bool
	colour   bool
	lost     *error // the first write that failed, where that is asked for
}

func (s screen) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err != nil && s.lost != nil && *s.lost == nil {
		*s.lost = err
	}
	return n, err
}

func newScreen(w io.Writer, env func(string) string) screen {
	s := screen{Writer: w}
	_, s.terminal = terminal(w)
	s.colour = s.terminal && env("NO_COLOR") == "" && env("TERM") != "dumb"
	return s
}

// terminal returns the descriptor of a stream that is one.
func terminal(stream any) (fd int, ok bool) {
	file, ok := stream.(*os.File)
	if !ok || file == nil {
		return 0, false
	}
	return int(file.Fd()), term.IsTerminal(int(file.Fd()))
}

// width is how many columns there are, or 0 when lines may have any length.
func (s screen) width() int {
	fd, ok := terminal(s.Writer)
	if !ok {
		return 0
	}
	cols, _, err := term.GetSize(fd)
	if err != nil || cols < 20 {
		return 80
	}
	return cols
}

// The tones of text. A tone never carries meaning alone: the words do.
type tone int

const (
	plain tone = iota
	strong
	faint
	good
	wary
	bad
)

func (s screen) paint(t tone, text string) string {
	if !s.colour || text == "" || t == plain {
		return text
	}
	style := lipgloss.NewStyle()
	switch t {
	case plain:
	case strong:
		style = style.Bold(true)
	case faint:
		style = style.Faint(true)
	case good:
		style = style.Foreground(lipgloss.Green)
	case wary:
		style = style.Foreground(lipgloss.Yellow)
	case bad:
		style = style.Foreground(lipgloss.Red)
	}
	return style.Render(text)
}

// say prints one line.
func (s screen) say(format string, args ...any) {
	fmt.Fprintf(s, format+"\n", args...)
}

// printable is text that cannot move the cursor or end its line: what others
// wrote must not draw on this terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, text)
}
