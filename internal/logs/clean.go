package logs

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-paas/slipway/internal/platform"
)

// MaxLine is the longest text of a line, in bytes; the rest is cut, with a mark.
const MaxLine = 64 << 10

// cleanLine makes a line safe to keep and to print.
func cleanLine(line platform.LogLine) platform.LogLine {
	if line.At.IsZero() {
		line.At = time.Now()
	}
	line.At = line.At.UTC().Round(0)
	line.Text = cleanText(strings.TrimRight(line.Text, "\r\n"))
	line.Source = cleanName(line.Source)
	line.Process = cleanName(line.Process)
	line.Instance = cleanName(line.Instance)
	return line
}

// cleanName is cleanText for a line's short fields.
func cleanName(name string) string { return cleanText(name[:min(len(name), 256)]) }

// cleanText cuts what is too long, and makes what is not UTF-8 the replacement
// character and control characters visible (^[ for escape), so that no line
// can move the cursor or set the title of a reader's terminal. Tabs and colours
// (ESC [ … m) stay.
func cleanText(text string) string {
	cut := 0
	if len(text) > MaxLine {
		end := MaxLine
		for end > MaxLine-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		cut, text = len(text)-end, text[:end]
	}
	if !plain(text) {
		text = visible(text)
	}
	if cut > 0 {
		text += fmt.Sprintf(" [%d bytes cut]", cut)
	}
	return text
}

// plain reports whether text is printable ASCII, as nearly all is.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

func visible(text string) string {
	var out strings.Builder
	out.Grow(len(text) + 16)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == 0x1b && colour(text[i:]) > 0:
			size = colour(text[i:])
			out.WriteString(text[i : i+size])
		case r == '\t':
			out.WriteByte('\t')
		case r < ' ' || r == 0x7f:
			out.WriteByte('^')
			out.WriteByte(byte(r) ^ 0x40)
		case r >= 0x80 && r < 0xa0: // the second set of control characters
			out.WriteRune(utf8.RuneError)
		default:
			out.WriteRune(r) // RuneError for what is not UTF-8
		}
		i += size
	}
	return out.String()
}

// colour is the length of the ESC [ … m that text begins with, or 0.
func colour(text string) int {
	if !strings.HasPrefix(text, "\x1b[") {
		return 0
	}
	for i := 2; i < len(text) && i < 32; i++ {
		switch c := text[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}
