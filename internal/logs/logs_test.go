package logs_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t *testing.T, options logs.Options) *logs.Logs {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	l, err := logs.Open(quiet(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l
}

func shut(t *testing.T, l *logs.Logs) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func remove(t *testing.T, l *logs.Logs, app string) {
	t.Helper()
	if err := l.Remove(app); err != nil {
		t.Error(err)
	}
}

var moment = time.Date(2016, 10, 18, 20, 29, 38, 0, time.UTC)

func line(text string) platform.LogLine {
	return platform.LogLine{At: moment, App: "blog", Source: platform.LogBuild, Text: text}
}

const instance = "blog-web-1234567890-abcde"

func nodeLine(offset int64, text string) platform.NodeLogLine {
	return platform.NodeLogLine{Offset: offset, LogLine: platform.LogLine{
		At: moment, App: "blog", Source: platform.LogApp, Process: "web", Release: 2, Instance: instance, Text: text,
	}}
}

func texts(lines []platform.LogLine) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func wantTexts(t *testing.T, got []platform.LogLine, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

func numbers(from, to int) []string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return all
}

func appendNumbers(l *logs.Logs, from, to int) {
	for _, n := range numbers(from, to) {
		l.Append("blog", line(n))
	}
}

func TestATailIsTheLastLinesOldestFirst(t *testing.T) {
	l := open(t, logs.Options{})
	appendNumbers(l, 1, 200)
	wantTexts(t, l.Tail("blog", logs.Filter{}), numbers(101, 200)...)
	wantTexts(t, l.Tail("blog", logs.Filter{Lines: 3}), "198", "199", "200")
	wantTexts(t, l.Tail("blog", logs.Filter{Lines: -1}))
	wantTexts(t, l.Tail("shop", logs.Filter{}))
}

func TestALineComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logs.Options{Dir: dir})
	want := nodeLine(7, `GET /?a=<b> "ü"`).LogLine
	l.AppendNode([]platform.NodeLogLine{nodeLine(7, want.Text)})
	for name, l := range map[string]*logs.Logs{"same": l, "reopened": open(t, logs.Options{Dir: dir})} {
		if diff := cmp.Diff([]platform.LogLine{want}, l.Tail("blog", logs.Filter{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestATailLongerThanTheRingComesFromDisk(t *testing.T) {
	l := open(t, logs.Options{Ring: 10})
	l.Append("blog", platform.LogLine{Source: platform.LogController, Text: "first"})
	appendNumbers(l, 1, 100)
	wantTexts(t, l.Tail("blog", logs.Filter{Lines: 50}), numbers(51, 100)...)
	wantTexts(t, l.Tail("blog", logs.Filter{Source: platform.LogController}), "first")
}

func TestATailIsFilteredByProcess(t *testing.T) {
	l := open(t, logs.Options{})
	l.Append("blog", line("built"))
	l.AppendNode([]platform.NodeLogLine{nodeLine(1, "served")})
	wantTexts(t, l.Tail("blog", logs.Filter{Process: "web"}), "served")
	wantTexts(t, l.Tail("blog", logs.Filter{Process: "worker"}))
	wantTexts(t, l.Tail("blog", logs.Filter{Source: platform.LogBuild}), "built")
}

func TestHistoryStaysWithinItsBytesAndKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	const bound = 64 << 10
	l := open(t, logs.Options{Dir: dir, BytesPerApp: bound})
	padding := strings.Repeat("x", 200)
	for n := range 2000 {
		l.Append("blog", line(fmt.Sprint(n, padding)))
	}
	if size := sizeOf(t, filepath.Join(dir, "blog")); size > bound || size < bound/2 {
		t.Errorf("history has %d bytes, want at most %d and not much less", size, bound)
	}
	got := l.Tail("blog", logs.Filter{Lines: 1 << 20})
	for i, line := range got {
		if want := fmt.Sprint(2000-len(got)+i, padding); line.Text != want {
			t.Fatalf("line %d of %d is %.10s, want %.10s", i, len(got), line.Text, want)
		}
	}
}

func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

func TestNodeLinesAreStoredOnceAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logs.Options{Dir: dir})
	l.AppendNode([]platform.NodeLogLine{nodeLine(10, "a"), nodeLine(20, "b"), nodeLine(20, "b")})
	l.AppendNode([]platform.NodeLogLine{nodeLine(10, "a")})
	l = open(t, logs.Options{Dir: dir})
	if got := l.Cursor(instance); got != 20 {
		t.Errorf("cursor is %d, want 20", got)
	}
	l.AppendNode([]platform.NodeLogLine{nodeLine(20, "b"), nodeLine(30, "c")})
	wantTexts(t, l.Tail("blog", logs.Filter{}), "a", "b", "c")
	if got := l.Cursor("blog-web-1234567890-other"); got != 0 {
		t.Errorf("an unknown instance has cursor %d", got)
	}
}

func TestACursorOutlivesTheSegmentOfItsLine(t *testing.T) {
	dir := t.TempDir()
	options := logs.Options{Dir: dir, BytesPerApp: 16 << 10}
	l := open(t, options)
	l.AppendNode([]platform.NodeLogLine{nodeLine(10, "a")})
	appendNumbers(l, 1, 2000)
	if got := open(t, options).Cursor(instance); got != 10 {
		t.Errorf("cursor is %d, want 10", got)
	}
}

func TestATornLastLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logs.Options{Dir: dir})
	l.AppendNode([]platform.NodeLogLine{nodeLine(10, "a"), nodeLine(20, "b")})
	shut(t, l)
	path := filepath.Join(dir, "blog", "00000001.log")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tear := range []func() error{
		func() error { return os.Truncate(path, info.Size()-5) },
		func() error { return os.Truncate(path, info.Size()+4096) }, // zeros, as after a power cut
	} {
		if err := tear(); err != nil {
			t.Fatal(err)
		}
		l = open(t, logs.Options{Dir: dir})
		wantTexts(t, l.Tail("blog", logs.Filter{}), "a")
		l.AppendNode([]platform.NodeLogLine{nodeLine(20, "b")})
		wantTexts(t, open(t, logs.Options{Dir: dir}).Tail("blog", logs.Filter{}), "a", "b")
		if err := os.Truncate(path, info.Size()-5); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMissingHeaderDoesNotHideOlderCursors(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logs.Options{Dir: dir})
	l.AppendNode([]platform.NodeLogLine{nodeLine(10, "a")})
	if err := os.WriteFile(filepath.Join(dir, "blog", "00000002.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := open(t, logs.Options{Dir: dir}).Cursor(instance); got != 10 {
		t.Errorf("cursor is %d, want 10", got)
	}
}

func TestTextsAreMadeSafe(t *testing.T) {
	l := open(t, logs.Options{})
	for given, want := range map[string]string{
		"plain\ttext\r\n":     "plain\ttext",
		"title \x1b]0;x\x07":  "title ^[]0;x^G",
		"\x1b[1;31mred\x1b[m": "\x1b[1;31mred\x1b[m",
		"\x1b[2Jcleared":      "^[[2Jcleared",
		"a\xffb\x00c\u009bd":  "a\uFFFDb^@c\uFFFDd",
		"grüße 🚢":             "grüße 🚢",
		"50%\r100%":           "50%^M100%",
		"":                    "",
	} {
		l.Append("blog", line(given))
		wantTexts(t, l.Tail("blog", logs.Filter{Lines: 1}), want)
	}
}

func TestALongLineIsCutWithAMark(t *testing.T) {
	l := open(t, logs.Options{})
	l.Append("blog", line(strings.Repeat("ä", logs.MaxLine)))
	got := l.Tail("blog", logs.Filter{})[0].Text
	if want := strings.Repeat("ä", logs.MaxLine/2) + " [65536 bytes cut]"; got != want {
		t.Errorf("got %d bytes ending in %q", len(got), got[len(got)-30:])
	}
}

func TestATextOfSeveralLinesIsSeveralLines(t *testing.T) {
	l := open(t, logs.Options{})
	l.Append("blog", line("one\ntwo\n\nfour"))
	wantTexts(t, l.Tail("blog", logs.Filter{}), "one", "two", "", "four")
}

func TestARemovedAppIsForgotten(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logs.Options{Dir: dir})
	l.AppendNode([]platform.NodeLogLine{nodeLine(10, "old")})
	remove(t, l, "blog")
	remove(t, l, "blog")
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%v is left", entries)
	}
	if got := l.Cursor(instance); got != 0 {
		t.Errorf("cursor is %d", got)
	}
	l.Append("blog", line("new"))
	wantTexts(t, l.Tail("blog", logs.Filter{}), "new")
}

func TestARemovalThatACrashBrokeOffIsFinished(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".removed-blog-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, logs.Options{Dir: dir})
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%v is left", entries)
	}
}

func TestNamesThatAreNoAppTouchNoFile(t *testing.T) {
	dir := t.TempDir()
	l := open(t, logs.Options{Dir: filepath.Join(dir, "logs")})
	for _, app := range []string{"", "..", "../x", "A", "a/b"} {
		l.Append(app, line("x"))
		remove(t, l, app)
		if got := l.Tail(app, logs.Filter{}); got != nil {
			t.Errorf("%q has %v", app, got)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "logs")); len(entries) != 0 {
		t.Errorf("%v were made", entries)
	}
}

func TestAppsAtRestKeepNothingOpen(t *testing.T) {
	l := open(t, logs.Options{Resident: 3})
	before := descriptors(t)
	for round := range 2 {
		for n := range 20 {
			app := fmt.Sprintf("app-%d", n)
			l.Append(app, line(fmt.Sprint(round)))
		}
	}
	if now := descriptors(t); now > before+3 {
		t.Errorf("%d files are open, want at most 3", now-before)
	}
	for n := range 20 {
		wantTexts(t, l.Tail(fmt.Sprintf("app-%d", n), logs.Filter{}), "0", "1")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

func TestAFollowerSeesEveryLineOnce(t *testing.T) {
	l := open(t, logs.Options{Ring: 50})
	appendNumbers(l, 1, 500)
	var writers sync.WaitGroup
	writers.Go(func() { appendNumbers(l, 501, 1200) })
	var got []platform.LogLine
	for line := range l.Follow(t.Context(), "blog", logs.Filter{Lines: 400}) {
		got = append(got, line)
		if line.Text == "1200" {
			break
		}
	}
	writers.Wait()
	wantTexts(t, got, numbers(1201-len(got), 1200)...)
	if len(got) < 400 {
		t.Errorf("only %d lines", len(got))
	}
}

func TestASlowFollowerHoldsUpNobodyAndIsToldWhatItMissed(t *testing.T) {
	l := open(t, logs.Options{})
	l.Append("blog", line("first"))
	var got []string
	for line := range l.Follow(t.Context(), "blog", logs.Filter{}) {
		if len(got) == 0 {
			appendNumbers(l, 1, 1500) // while the reader is busy here
		}
		got = append(got, line.Text)
		if strings.Contains(line.Text, "missing") {
			break
		}
	}
	want := append(append([]string{"first"}, numbers(1, 1000)...), "500 lines are missing here: they came faster than they were read")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollowingEndsWithItsContextTheAppAndTheLogs(t *testing.T) {
	for name, end := range map[string]func(*logs.Logs, context.CancelFunc){
		"context": func(_ *logs.Logs, cancel context.CancelFunc) { cancel() },
		"app":     func(l *logs.Logs, _ context.CancelFunc) { remove(t, l, "blog") },
		"logs":    func(l *logs.Logs, _ context.CancelFunc) { shut(t, l) },
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, logs.Options{})
			l.Append("blog", line("first"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range l.Follow(ctx, "blog", logs.Filter{}) {
				end(l, cancel)
			}
		})
	}
}

func TestWritersAndReadersOfManyAppsDoNotDisturbEachOther(t *testing.T) {
	l := open(t, logs.Options{Resident: 2, Ring: 20, BytesPerApp: 8 << 10})
	var all sync.WaitGroup
	for n := range 6 {
		app := fmt.Sprintf("app-%d", n)
		all.Go(func() {
			for i := range 300 {
				l.Append(app, line(fmt.Sprint(i)))
				if i%50 == 0 {
					l.Tail(app, logs.Filter{})
				}
			}
		})
		all.Go(func() {
			for i := range 20 {
				l.Tail(app, logs.Filter{Lines: i})
				l.Cursor(app + "-web-1234567890-abcde")
			}
		})
	}
	all.Wait()
	for n := range 6 {
		wantTexts(t, l.Tail(fmt.Sprintf("app-%d", n), logs.Filter{Lines: 2}), "298", "299")
	}
}

func TestAFullDiskDropsLinesCountsThemAndSaysSoOnce(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a disk to fill needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	var told bytes.Buffer
	l, err := logs.Open(slog.New(slog.NewTextHandler(&told, nil)), logs.Options{Dir: filepath.Join(dir, "logs"), Ring: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, l)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	padding := strings.Repeat("x", 1000)
	for n := range 100 {
		l.Append("blog", line(fmt.Sprint(n, padding)))
	}
	wantTexts(t, l.Tail("blog", logs.Filter{Lines: 2}), "98"+padding, "99"+padding)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	appendNumbers(l, 1, 20)
	wantTexts(t, l.Tail("blog", logs.Filter{Lines: 20}), numbers(1, 20)...)
	if got := strings.Count(told.String(), "level=ERROR"); got != 1 {
		t.Errorf("said so %d times:\n%s", got, told.String())
	}
	if !strings.Contains(told.String(), "dropped=") {
		t.Errorf("did not count:\n%s", told.String())
	}
	shut(t, l)
	after := open(t, logs.Options{Dir: filepath.Join(dir, "logs")}).Tail("blog", logs.Filter{Lines: 20})
	wantTexts(t, after, numbers(1, 20)...)
}

func FuzzAnyBytesOnDiskAreTolerated(f *testing.F) {
	f.Add([]byte("{\"t\":1,\"x\":\"a\"}\n{\"c\":{\"i\":3}}\nnull\n[]\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "blog"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "blog", "00000001.log"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, logs.Options{Dir: dir})
		l.AppendNode([]platform.NodeLogLine{nodeLine(1<<62, "after")})
		got := texts(l.Tail("blog", logs.Filter{}))
		if !slices.Contains(got, "after") && l.Cursor(instance) < 1<<62 {
			t.Errorf("the new line is not in %q", got)
		}
	})
}
