package controller

import (
	"bytes"
	"sync"
)

// maxLine bounds a line of output that is being gathered.
const maxLine = 64 << 10

// lineWriter cuts what is written to it into lines. Close hands on an
// unfinished last one. Safe for concurrent use.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	line func(string)
}

func newLineWriter(line func(string)) *lineWriter { return &lineWriter{line: line} }

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		w.emit(p[:i])
		p = p[i+1:]
	}
	w.rest = append(w.rest, p...)
	if len(w.rest) > maxLine {
		w.emit(nil)
	}
	return n, nil
}

func (w *lineWriter) emit(end []byte) {
	line := append(w.rest, end...)
	w.rest = w.rest[:0]
	w.line(string(bytes.TrimSuffix(line, []byte("\r"))))
}

// Close hands on an unfinished last line. It never fails.
func (w *lineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.emit(nil)
	}
	return nil
}
