package logs_test

import (
	"slices"
	"testing"

	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
)

func said(l *logs.Logs, app string) (texts []string) {
	for _, line := range l.Tail(app, logs.Filter{Lines: 100}) {
		texts = append(texts, line.Text)
	}
	return texts
}

func TestLinesFollowAnAppToItsNewIDAndAreStoredOnce(t *testing.T) {
	dir := t.TempDir()
	old := func(text string, offset int64) []platform.NodeLogLine {
		return []platform.NodeLogLine{{LogLine: platform.LogLine{App: "blog", Source: platform.LogApp, Instance: "blog-web-1-a", Text: text}, Offset: offset}}
	}
	l := open(t, logs.Options{Dir: dir})
	l.AppendNode(old("one", 4))
	l.Append("journal", platform.LogLine{Text: "early"}) // before the rename is known here
	if err := l.Rename("blog", "journal"); err != nil {
		t.Fatal(err)
	}
	l.AppendNode(old("one", 4)) // sent again
	l.AppendNode(old("two", 8))
	if offset := l.Cursor("blog-web-1-a"); offset != 8 {
		t.Errorf("the cursor is %d", offset)
	}
	want := []string{"one", "early", "two"}
	if got := said(l, "journal"); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = open(t, logs.Options{Dir: dir}) // after a crash it is said once more
	if err := l.Rename("blog", "journal"); err != nil {
		t.Fatal(err)
	}
	l.AppendNode(old("two", 8))
	l.AppendNode(old("three", 14))
	if err := l.Remove("blog"); err != nil {
		t.Fatal(err)
	}
	l.Append("blog", platform.LogLine{Text: "another app"})
	if got := said(l, "journal"); !slices.Equal(got, append(want, "three")) {
		t.Errorf("got %v", got)
	}
	if got := said(l, "blog"); !slices.Equal(got, []string{"another app"}) {
		t.Errorf("the next app of that id has %v", got)
	}
}

func TestARenameTakenBackBringsTheLinesBack(t *testing.T) {
	l := open(t, logs.Options{Dir: t.TempDir()})
	l.Append("blog", platform.LogLine{Text: "one"})
	if err := l.Rename("blog", "journal"); err != nil {
		t.Fatal(err)
	}
	l.Append("blog", platform.LogLine{Text: "two"})
	if err := l.Rename("journal", "blog"); err != nil {
		t.Fatal(err)
	}
	l.Append("blog", platform.LogLine{Text: "three"})
	l.Append("journal", platform.LogLine{Text: "four"}) // of an instance that leaves
	if err := l.Remove("journal"); err != nil {
		t.Fatal(err)
	}
	if got := said(l, "blog"); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
		t.Errorf("got %v", got)
	}
	if got := said(l, "journal"); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
	if err := l.Rename("../blog", "journal"); err == nil {
		t.Error("a path was renamed")
	}
}
