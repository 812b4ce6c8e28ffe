package access_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func record() access.Record {
	return access.Record{
		Time: time.Date(2026, 3, 1, 12, 30, 15, 123e6, time.UTC), Duration: 12345 * time.Microsecond,
		App: "blog", Process: "web", Release: 7, Instance: "blog-v7-web-x", Client: "203.0.113.9", Host: "blog.test",
		Method: "GET", Path: "/posts/1", Query: "token=hush", Proto: "HTTP/1.1", Scheme: "https", Status: 200, Bytes: 512,
		Attempts: 2, RequestID: "r1", Referer: "https://u:p@else.test/a?session=hush", Agent: `curl "8"`,
	}
}

func open(t *testing.T, opt access.LogOptions) (*access.Log, string) {
	t.Helper()
	if opt.Path == "" {
		opt.Path = filepath.Join(t.TempDir(), "access.log")
	}
	l, err := access.OpenLog(quiet(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, opt.Path
}

// written is what the file holds once the log is closed.
func written(t *testing.T, l *access.Log, path string) string {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestALineIsAnObjectWithoutSecrets(t *testing.T) {
	l, path := open(t, access.LogOptions{})
	r := record()
	l.Write(&r)
	line := written(t, l, path)
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"time": "2026-03-01T12:30:15.123Z", "app": "blog", "process": "web", "release": 7.0, "client": "203.0.113.9", "path": "/posts/1",
		"status": 200.0, "bytes": 512.0, "seconds": 0.012345, "attempts": 2.0, "request_id": "r1", "referer": "else.test/a", "agent": `curl "8"`,
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if strings.Contains(line, "hush") {
		t.Errorf("a secret is in %s", line)
	}
}

func TestACombinedLineIsReadByToolsForNginx(t *testing.T) {
	l, path := open(t, access.LogOptions{Format: access.Combined})
	r := record()
	l.Write(&r)
	want := `203.0.113.9 - - [01/Mar/2026:12:30:15 +0000] "GET /posts/1 HTTP/1.1" 200 512 "else.test/a" "curl \x228\x22"` + "\n"
	if got := written(t, l, path); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestQueriesAreWrittenOnlyWhenAskedFor(t *testing.T) {
	for format, want := range map[access.Format]string{access.JSON: `"query":"token=hush"`, access.Combined: "/posts/1?token=hush "} {
		l, path := open(t, access.LogOptions{Query: true, Format: format})
		r := record()
		l.Write(&r)
		if got := written(t, l, path); !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

func FuzzNoLineHoldsAControl(f *testing.F) {
	f.Add("/\x1b[2J\r\n", "\xff\x80\u2028\u009b", "a\"b\\c")
	plain := regexp.MustCompile(`^[\x20-\x7e]*$`)
	f.Fuzz(func(t *testing.T, path, host, agent string) {
		for _, format := range []access.Format{access.JSON, access.Combined} {
			var got bytes.Buffer
			l, err := access.OpenLog(quiet(), access.LogOptions{Format: format, Lines: func(_ string, line []byte) bool { got.Write(line); return true }})
			if err != nil {
				t.Fatal(err)
			}
			l.Write(&access.Record{App: "blog", Path: path, Host: host, Agent: agent, Referer: agent, Client: host, Query: path})
			_ = l.Close()
			if format == access.Combined && !plain.Match(got.Bytes()) {
				t.Errorf("got %q", got.String())
			}
			if format == access.JSON && (!json.Valid(got.Bytes()) || strings.ContainsFunc(got.String(), func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })) {
				t.Errorf("got %q", got.String())
			}
		}
	})
}

func TestFailedRequestsAreAlwaysWrittenTheOthersByTheirShare(t *testing.T) {
	l, _ := open(t, access.LogOptions{Sample: 100})
	of := func(sample *int, failed bool) (n int) {
		for range 10_000 {
			if l.Wants(sample, failed) {
				n++
			}
		}
		return n
	}
	none, all := 0, 1000
	if n := of(nil, false); n < 700 || n > 1300 {
		t.Errorf("a tenth of 10000 is %d", n)
	}
	if of(nil, true) != 10_000 || of(&none, true) != 10_000 || of(&none, false) != 0 || of(&all, false) != 10_000 {
		t.Error("an app's word counts for nothing, or failures are left out")
	}
}

func TestAFileThatIsFullIsSetAsideAndSoManyAreKept(t *testing.T) {
	l, path := open(t, access.LogOptions{MaxBytes: 1000, Keep: 2})
	r := record()
	for i := range 12 {
		l.Write(&r)
		awaitWritten(t, l, int64(i+1))
	}
	written(t, l, path)
	for name, there := range map[string]bool{path: true, path + ".1": true, path + ".2": true, path + ".3": false} {
		info, err := os.Stat(name)
		if there != (err == nil) || there && info.Size() > 1000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// awaitWritten blocks until so many lines were written.
func awaitWritten(t *testing.T, l *access.Log, lines int64) {
	t.Helper()
	for {
		n, dropped := l.Counts()
		if dropped > 0 {
			t.Fatalf("%d were dropped", dropped)
		}
		if n >= lines {
			return
		}
		runtime.Gosched()
	}
}

func TestAFileThatWasMovedIsBegunAgain(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		l, path := open(t, access.LogOptions{})
		r := record()
		l.Write(&r)
		awaitWritten(t, l, 1)
		if err := os.Rename(path, path+".moved"); err != nil {
			t.Fatal(err)
		}
		if reopen {
			l.Reopen()
		}
		r.Path = "/after"
		l.Write(&r)
		if got := written(t, l, path); strings.Count(got, "\n") != 1 || !strings.Contains(got, "/after") {
			t.Errorf("got %q", got)
		}
	}
}

func TestADiskThatTakesNothingHoldsNobodyUpAndWhatIsLostIsCounted(t *testing.T) {
	stuck, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	lines := 0
	l, err := access.OpenLog(quiet(), access.LogOptions{Lines: func(string, []byte) bool {
		lines++
		once.Do(func() { close(stuck); <-free })
		return true
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := record()
	l.Write(&r)
	<-stuck
	const many = 20_000 // some 7 MB, where one is kept
	for range many {
		l.Write(&r)
	}
	_, dropped := l.Counts()
	close(free)
	_ = l.Close()
	if dropped == 0 || int64(lines)+dropped != many+1 {
		t.Errorf("%d written, %d dropped of %d", lines, dropped, many+1)
	}
}

func TestWhoWritesAtOnceGetsWholeLines(t *testing.T) {
	l, path := open(t, access.LogOptions{})
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			r := record()
			r.RequestID = fmt.Sprint("w", w)
			for range 200 {
				l.Write(&r)
			}
		})
	}
	writers.Wait()
	got := strings.Split(strings.TrimSuffix(written(t, l, path), "\n"), "\n")
	if len(got) != 1600 {
		t.Fatalf("%d lines", len(got))
	}
	for _, line := range got {
		if !json.Valid([]byte(line)) {
			t.Fatalf("got %q", line)
		}
	}
}

func TestLinesOfAnAppGoToItsOwnLog(t *testing.T) {
	got := map[string][]string{}
	l, err := access.OpenLog(quiet(), access.LogOptions{Format: access.Combined, Lines: func(app string, line []byte) bool { got[app] = append(got[app], string(line)); return true }})
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"blog", "shop", "blog"} {
		r := record()
		r.App = app
		l.Write(&r)
	}
	_ = l.Close()
	if len(got["blog"]) != 2 || len(got["shop"]) != 1 || strings.HasSuffix(got["shop"][0], "\n") {
		t.Errorf("got %q", got)
	}
}

func TestAPlaceThatCannotBeWrittenIsToldAtOnce(t *testing.T) {
	if _, err := access.OpenLog(quiet(), access.LogOptions{Path: filepath.Join(t.TempDir(), "none", "access.log")}); !os.IsNotExist(unwrap(err)) {
		t.Errorf("got %v", err)
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		if _, isPath := u.(*fs.PathError); !isPath {
			return unwrap(u.Unwrap())
		}
	}
	return err
}

func BenchmarkWrite(b *testing.B) {
	for name, format := range map[string]access.Format{"json": access.JSON, "combined": access.Combined} {
		b.Run(name, func(b *testing.B) {
			l, err := access.OpenLog(quiet(), access.LogOptions{Format: format, Path: os.DevNull})
			if err != nil {
				b.Fatal(err)
			}
			r := record()
			b.ReportAllocs()
			for b.Loop() {
				l.Write(&r)
			}
			_, dropped := l.Counts()
			b.ReportMetric(float64(dropped)/float64(b.N), "dropped/op")
			_ = l.Close()
		})
	}
}
