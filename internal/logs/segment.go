package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A stream on disk is a directory of segments, 00000001.log and so on, that
// are only ever appended to and removed whole, the oldest first. A segment is
// JSON lines: first the cursors of all instances, so that the newest segment
// alone tells every cursor, then one line a record.

// record is a log line and, when a node sent it, where it ended in the output.
type record struct {
	line   platform.LogLine
	offset int64
}

// row is how a record, or the cursors, stand in a segment.
type row struct {
	At       int64            `json:"t,omitempty"` // microseconds since 1970
	Source   string           `json:"s,omitempty"`
	Process  string           `json:"p,omitempty"`
	Release  int              `json:"r,omitempty"`
	Instance string           `json:"i,omitempty"`
	Offset   int64            `json:"o,omitempty"`
	Text     string           `json:"x,omitempty"`
	Cursors  map[string]int64 `json:"c,omitzero"` // empty is a header too
}

// appendRow adds a row and its line end to the buffer.
func appendRow(buffer *bytes.Buffer, r row) {
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		panic(fmt.Sprintf("logs: a row has no JSON form: %v", err)) // impossible: strings and numbers
	}
}

func (r record) row() row {
	return row{
		At: r.line.At.UnixMicro(), Source: r.line.Source, Process: r.line.Process, Release: r.line.Release,
		Instance: r.line.Instance, Offset: r.offset, Text: r.line.Text,
	}
}

func (r row) line(app string) platform.LogLine {
	return platform.LogLine{
		At: time.UnixMicro(r.At).UTC(), App: app, Source: r.Source, Process: r.Process, Release: r.Release,
		Instance: r.Instance, Text: r.Text,
	}
}

// segment is one file of a stream.
type segment struct {
	number int
	path   string
	size   int64
}

// segments lists a stream's, oldest first. A directory that is not there has none.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var found []segment
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".log")
		number, err := strconv.Atoi(name)
		if !ok || err != nil {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue // removed meanwhile
		}
		found = append(found, segment{number: number, path: filepath.Join(dir, entry.Name()), size: info.Size()})
	}
	slices.SortFunc(found, func(a, b segment) int { return a.number - b.number })
	return found, nil
}

func segmentPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%08d.log", number))
}

// backward yields the segment's rows from the newest to the oldest, up to the
// size it had when it was listed. Rows that cannot be read are skipped: a torn
// last one, what a failing disk made of others. A segment that is gone has none.
func (g segment) backward() iter.Seq[row] {
	return func(yield func(row) bool) {
		data := g.read()
		for len(data) > 0 {
			data = bytes.TrimSuffix(data, []byte("\n"))
			start := bytes.LastIndexByte(data, '\n') + 1
			var r row
			if json.Unmarshal(data[start:], &r) == nil && !yield(r) {
				return
			}
			data = data[:start]
		}
	}
}

func (g segment) read() []byte {
	file, err := os.Open(g.path)
	if err != nil {
		return nil
	}
	defer file.Close()
	data := make([]byte, g.size)
	n, _ := io.ReadFull(file, data)
	return data[:n]
}
