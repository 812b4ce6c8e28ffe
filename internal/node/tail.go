package node

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The bounds of an instance's output, in bytes.
const (
	maxLine    = 64 << 10  // longer lines are cut into several
	maxRead    = 256 << 10 // of one output at a time
	maxBacklog = 64 << 20  // kept while the control plane is away
	keepShort  = 48 << 20  // what is left of a backlog that grew over it
	keepStored = 256 << 10 // kept of what is stored, for a log that lost its last seconds
	block      = 4096      // holes are whole blocks, or their edges read as zeros
)

// tail is an instance's output file and how far it was shipped. Bytes that are
// stored are given back to the file system as holes at the file's begin; a hole
// further on is output that was dropped, and that is all there is to know of it.
type tail struct {
	spec platform.InstanceSpec
	path string

	// Of the shipping goroutine alone.
	offset  int64 // first byte not stored yet; -1: the control plane knows
	punched int64 // all before it is a hole

	// Guarded by shipper.mu.
	dirty    bool   // there may be something to ship
	finished bool   // nothing more is written: forget it when it is shipped
	said     int64  // end of the last line the node itself wrote
	last     string // before that line, of this copy's own
}

// read returns the whole lines from t.offset on, at most maxRead bytes of
// them, where they end, and whether there may be more to read at once. With
// finished, what follows the last line end is a line too.
func (t *tail) read(finished bool) (lines []platform.NodeLogLine, end int64, more bool, err error) {
	file, err := os.Open(t.path)
	if err != nil {
		return nil, t.offset, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, t.offset, false, err
	}
	end = t.offset
	if end >= info.Size() {
		return nil, end, false, nil
	}
	data, hole := extent(int(file.Fd()), end, info.Size())
	if data > end {
		lines = append(lines, t.line(fmt.Sprintf("slipway: %d bytes of output were dropped before they could be stored", data-end), data))
		end = data
	}
	buf := make([]byte, min(maxRead, hole-end))
	n, _ := file.ReadAt(buf, end)
	buf = buf[:n]
	last := finished && end+int64(n) == info.Size() || end+int64(n) == hole && hole < info.Size()
	for len(buf) > 0 {
		cut := bytes.IndexByte(buf, '\n') + 1
		switch {
		case cut == 0 && len(buf) < maxLine && !last:
			return lines, end, n == maxRead, nil
		case cut == 0:
			cut = min(len(buf), maxLine)
		case cut > maxLine:
			cut = maxLine
		}
		end += int64(cut)
		lines = append(lines, t.line(strings.TrimRight(string(buf[:cut]), "\r\n"), end))
		buf = buf[cut:]
	}
	return lines, end, end < info.Size(), nil
}

func (t *tail) line(text string, end int64) platform.NodeLogLine {
	return platform.NodeLogLine{Offset: end, LogLine: platform.LogLine{
		At: time.Now(), App: t.spec.App, Source: platform.LogApp, Process: t.spec.Process,
		Release: t.spec.Release, Instance: t.spec.ID, Text: text,
	}}
}

// extent returns where data begins at or after offset, and where it ends. A
// file system without holes has one extent.
func extent(fd int, offset, size int64) (data, hole int64) {
	data, err := unix.Seek(fd, offset, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return size, size
	case err != nil:
		return offset, size
	}
	hole, err = unix.Seek(fd, data, unix.SEEK_HOLE)
	if err != nil || hole > size {
		hole = size
	}
	return data, hole
}

// punch gives back what is stored.
func (t *tail) punch() error {
	to := (t.offset - keepStored) / block * block
	if to-t.punched < keepStored {
		return nil
	}
	if err := punch(t.path, t.punched, to); err != nil {
		return err
	}
	t.punched = to
	return nil
}

// shorten drops the oldest of a backlog that grew too long. What is stored
// already may be dropped with it.
func (t *tail) shorten() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	from := max(t.offset, t.punched, 0)
	if info.Size()-from <= maxBacklog {
		return nil
	}
	from = (from + block - 1) / block * block
	to := (info.Size() - keepShort) / block * block
	if err := punch(t.path, from, to); err != nil {
		return err
	}
	t.punched = to // with an offset before it: the hole in between tells
	return nil
}

func punch(path string, from, to int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
}

// say appends a line of the node's own, on a line of its own. last is the last
// line with something in it between the byte from and that one.
func say(path string, from int64, text string) (end int64, last string, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, "", err
	}
	line := text + "\n"
	before := []byte{'\n'}
	if size := info.Size(); size > 0 {
		_, _ = file.ReadAt(before, size-1)
	}
	if before[0] != '\n' {
		line = "\n" + line
	}
	n, err := file.WriteString(line)
	if err != nil {
		return 0, "", err
	}
	end, err = file.Seek(0, io.SeekCurrent) // the instance may have printed meanwhile
	return end, lastBetween(file, from, end-int64(n)), err
}

// lastLine returns the last line with something in it after the byte from.
func lastLine(path string, from int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	return lastBetween(file, from, info.Size())
}

func lastBetween(file *os.File, from, to int64) string {
	const enough = 2048
	from = max(from, to-enough)
	buf := make([]byte, max(0, to-from))
	n, _ := file.ReadAt(buf, from)
	text := strings.TrimSpace(strings.ToValidUTF8(string(buf[:n]), "?"))
	text = strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}
