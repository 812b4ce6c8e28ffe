package access

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Format is how a line is written.
type Format int

// The formats: an object a line, and the combined format of the NCSA's server,
// which tools for Apache and nginx read.
const (
	JSON Format = iota
	Combined
)

// maxField bounds each text that a client chooses.
const maxField = 2048

func (l *Log) format(b []byte, r *Record) []byte {
	if l.opt.Format == Combined {
		return l.combined(b, r)
	}
	return l.json(b, r)
}

func (l *Log) json(b []byte, r *Record) []byte {
	b = append(b, `{"time":"`...)
	b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, '"')
	b = text(b, "app", r.App)
	b = text(b, "process", r.Process)
	if r.Release != 0 {
		b = number(b, "release", int64(r.Release))
	}
	b = text(b, "instance", r.Instance)
	b = text(b, "client", r.Client)
	b = text(b, "host", r.Host)
	b = text(b, "method", r.Method)
	b = text(b, "path", r.Path)
	if l.opt.Query {
		b = text(b, "query", r.Query)
	}
	b = text(b, "proto", r.Proto)
	b = text(b, "scheme", r.Scheme)
	b = number(b, "status", int64(r.Status))
	b = number(b, "bytes", r.Bytes)
	if r.In > 0 {
		b = number(b, "bytes_in", r.In)
	}
	b = append(b, `,"seconds":`...)
	b = strconv.AppendFloat(b, r.Duration.Seconds(), 'f', 6, 64)
	if r.Attempts != 1 {
		b = number(b, "attempts", int64(r.Attempts))
	}
	b = text(b, "why", r.Why)
	b = text(b, "request_id", r.RequestID)
	b = text(b, "referer", l.bare(r.Referer))
	b = text(b, "agent", r.Agent)
	if r.Failed {
		b = append(b, `,"failed":true`...)
	}
	return append(b, '}', '\n')
}

func text(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, '"', ':', '"')
	b = escape(b, value)
	return append(b, '"')
}

func number(b []byte, key string, value int64) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, value, 10)
}

const hex = "0123456789abcdef"

// escape writes s as the inside of a JSON string. Controls of either kind are
// escaped, so that a line shown on a terminal moves nothing there.
func escape(b []byte, s string) []byte {
	s = s[:min(len(s), maxField)]
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		size := 1
		switch r, n := utf8.DecodeRuneInString(s[i:]); {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case r < 0xa0 || r == '\u2028' || r == '\u2029':
			size = n
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			size = n
			b = append(b, s[i:i+n]...)
		}
		i += size
		start = i
	}
	return append(b, s[start:]...)
}

// combined is %h - - [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i".
func (l *Log) combined(b []byte, r *Record) []byte {
	b = word(b, r.Client)
	b = append(b, " - - ["...)
	b = r.Time.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = quoted(b, r.Method)
	b = append(b, ' ')
	b = quoted(b, r.Path)
	if l.opt.Query && r.Query != "" {
		b = append(b, '?')
		b = quoted(b, r.Query)
	}
	b = append(b, ' ')
	b = quoted(b, r.Proto)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	if r.Bytes == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, r.Bytes, 10)
	}
	b = append(b, ` "`...)
	b = quoted(b, l.bare(r.Referer))
	b = append(b, `" "`...)
	b = quoted(b, r.Agent)
	return append(b, '"', '\n')
}

// word is s where no quotes stand around it.
func word(b []byte, s string) []byte {
	from := len(b)
	b = quoted(b, s)
	for i := from; i < len(b); i++ {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return b
}

// quoted escapes as Apache and nginx do: what is no plain character as \xHH.
func quoted(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	s = s[:min(len(s), maxField)]
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// bare is a URL without its query and user, unless queries are written.
func (l *Log) bare(url string) string {
	if l.opt.Query {
		return url
	}
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		url = url[:end]
	}
	if scheme := strings.Index(url, "://"); scheme >= 0 {
		rest := url[scheme+3:]
		if at := strings.LastIndexByte(rest[:authority(rest)], '@'); at >= 0 {
			return rest[at+1:]
		}
	}
	return url
}

// authority is where that of a URL without its scheme ends.
func authority(rest string) int {
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		return slash
	}
	return len(rest)
}

// droppedLine tells of lines that found no room.
func (l *Log) droppedLine(b []byte, n int64) []byte {
	if l.opt.Format == Combined {
		return b // readers of that format know no such line; the log and the metrics say it
	}
	b = append(b, `{"time":"`...)
	b = time.Now().UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	b = append(b, `","dropped":`...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, '}', '\n')
}
