package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func newTail(t *testing.T, content string) *tail {
	t.Helper()
	path := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tail{spec: platform.InstanceSpec{ID: "blog-web-1", App: "blog"}, path: path}
}

func texts(lines []platform.NodeLogLine) (all []string) {
	for _, l := range lines {
		all = append(all, fmt.Sprintf("%.40s@%d", l.Text, l.Offset))
	}
	return all
}

func TestOutputIsCutIntoLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+5)
	for _, c := range []struct {
		name, content string
		finished      bool
		want          []string
	}{
		{"whole lines", "a\nbb\r\n\n", false, []string{"a@2", "bb@6", "@7"}},
		{"the rest waits", "a\nhalf", false, []string{"a@2"}},
		{"the rest is a line when no more comes", "a\nhalf", true, []string{"a@2", "half@6"}},
		{"a long line is several", long + "\n", false, []string{strings.Repeat("x", 40) + "@65536", "xxxxx@65542"}},
	} {
		tail := newTail(t, c.content)
		lines, end, _, err := tail.read(c.finished)
		if err != nil || fmt.Sprint(texts(lines)) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, %v", c.name, texts(lines), err)
		}
		if len(lines) > 0 && end != lines[len(lines)-1].Offset {
			t.Errorf("%s: it ends at %d", c.name, end)
		}
	}
}

func TestABacklogIsShortenedAndSaysSo(t *testing.T) {
	tail := newTail(t, "")
	file, err := os.OpenFile(tail.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	megabyte := bytes.Repeat([]byte(strings.Repeat("7", 63)+"\n"), 1<<20/64)
	for range maxBacklog>>20 + 1 {
		if _, err := file.Write(megabyte); err != nil {
			t.Skip("no room for the test:", err)
		}
	}
	if err := tail.shorten(); err != nil {
		t.Skip("this file system has no holes:", err)
	}
	lines, end, more, err := tail.read(false)
	dropped := int64(maxBacklog + 1<<20 - keepShort)
	if err != nil || !more || len(lines) == 0 || !strings.Contains(lines[0].Text, fmt.Sprintf("%d bytes of output were dropped", dropped)) {
		t.Fatalf("read %.3q…, %v", texts(lines), err)
	}
	if end <= dropped || len(lines[1].Text) != 63 {
		t.Errorf("it goes on with %q, to %d", lines[1].Text, end)
	}
}

func TestTheNodesOwnLinesStandAlone(t *testing.T) {
	tail := newTail(t, "Traceback\nValueError: no")
	if got := lastLine(tail.path, 0); got != "ValueError: no" {
		t.Errorf("the last line is %q", got)
	}
	end, last, err := say(tail.path, 0, "web.x3ten exited with code 1")
	if err != nil || last != "ValueError: no" {
		t.Fatalf("before it is %q, %v", last, err)
	}
	data, _ := os.ReadFile(tail.path)
	if string(data) != "Traceback\nValueError: no\nweb.x3ten exited with code 1\n" || end != int64(len(data)) {
		t.Errorf("the output is %q, the line ends at %d", data, end)
	}
	if got := lastLine(tail.path, end); got != "" {
		t.Errorf("after the node's own line the last line is %q", got)
	}
}

func TestTheLastLineOfACopyIsItsOwnWhateverTheNodeSays(t *testing.T) {
	tail := newTail(t, "Traceback\nValueError: no\n")
	s, err := newShipper(slog.New(slog.DiscardHandler), nil, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	spec := platform.InstanceSpec{ID: "blog-web-1"}
	s.follow(spec, tail.path)
	s.say(spec, "web.1 does not listen") // it is about to end
	s.say(spec, "web.1 does not listen yet")
	if got := s.lastLine(spec.ID); got != "ValueError: no" {
		t.Errorf("the last line is %q", got)
	}
	s.say(spec, "web.1 exited with code 1")
	s.follow(spec, tail.path) // the next copy
	if got := s.lastLine(spec.ID); got != "" {
		t.Errorf("the next copy's last line is %q", got)
	}
}

func TestNumbersReadWell(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 21: "21st", 103: "103rd", 113: "113th"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}
