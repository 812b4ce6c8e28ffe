package schedulertest

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

var instanceID = regexp.MustCompile(`^blog-worker-\d{10}-[a-z0-9]{5}$`)

func applyMakesItSo(a *at) {
	a.apply("blog", a.group(1, "worker", 2))
	all := a.await("blog", "worker.v1", "worker.v1")
	for _, i := range all {
		if !instanceID.MatchString(i.ID) || i.App != "blog" || i.Node == "" || i.Started.IsZero() || i.Isolation == "" {
			a.Errorf("it is seen as %+v", i)
		}
	}
	if all[0].Started.Before(all[1].Started) {
		a.Error("the newest is not the first")
	}
}

func applyingAgain(a *at) {
	a.apply("blog", a.group(1, "worker", 2))
	before := ids(a.await("blog", "worker.v1", "worker.v1"))
	a.apply("blog", a.group(1, "worker", 2))
	a.apply("shop", a.group(1, "worker", 1)) // what comes after it has come
	a.await("shop", "worker.v1")
	if after := ids(a.await("blog", "worker.v1", "worker.v1")); !slices.Equal(before, after) {
		a.Errorf("%v became %v", before, after)
	}
}

func scaling(a *at) {
	a.apply("blog", a.group(1, "worker", 1))
	one := ids(a.await("blog", "worker.v1"))
	a.apply("blog", a.group(1, "worker", 3))
	three := ids(a.await("blog", "worker.v1", "worker.v1", "worker.v1"))
	if !within(one, three) {
		a.Errorf("%v became %v", one, three)
	}
	a.apply("blog", a.group(1, "worker", 2))
	two := ids(a.await("blog", "worker.v1", "worker.v1"))
	if !within(two, three) || !within(one, two) {
		a.Errorf("%v became %v, the oldest was %v", three, two, one)
	}
	a.apply("blog")
	a.await("blog")
}

func sideBySide(a *at) {
	a.apply("blog", a.group(1, "worker", 1))
	old := ids(a.await("blog", "worker.v1"))
	a.apply("blog", a.group(1, "worker", 1), a.group(2, "worker", 2))
	both := ids(a.await("blog", "worker.v1", "worker.v2", "worker.v2"))
	if !within(old, both) {
		a.Errorf("%v is not among %v", old, both)
	}
	a.apply("blog", a.group(2, "worker", 2))
	if after := ids(a.await("blog", "worker.v2", "worker.v2")); !within(after, both) {
		a.Errorf("%v became %v", both, after)
	}
}

func revisions(a *at) {
	first, second := a.group(1, "worker", 1), a.group(1, "worker", 1)
	second.Revision = 1
	a.apply("blog", first)
	before := ids(a.await("blog", "worker.v1"))
	a.apply("blog", first, second)
	a.await("blog", "worker.v1", "worker.v1")
	a.apply("blog", second)
	if after := a.await("blog", "worker.v1"); within(ids(after), before) || after[0].Revision != 1 {
		a.Errorf("%v became %+v", before, after)
	}
}

func appsDoNotMix(a *at) {
	a.apply("blog", a.group(1, "worker", 1))
	a.apply("blog-2", a.group(1, "worker", 1))
	a.await("blog", "worker.v1")
	other := ids(a.await("blog-2", "worker.v1"))
	a.apply("blog")
	a.await("blog")
	if after := ids(a.await("blog-2", "worker.v1")); !slices.Equal(after, other) {
		a.Errorf("%v became %v", other, after)
	}
}

func removing(a *at) {
	if err := a.Scheduler.Remove(a.Context(), "nobody"); err != nil {
		a.Errorf("Remove of an unknown app: %v", err)
	}
	a.apply("blog", a.group(1, "worker", 2), a.group(1, "clock", 1))
	a.await("blog", "worker.v1", "worker.v1", "clock.v1")
	if err := a.Scheduler.Remove(a.Context(), "blog"); err != nil {
		a.Fatalf("Remove: %v", err)
	}
	a.await("blog")
	a.apply("blog", a.group(2, "worker", 1)) // the name is free again
	a.await("blog", "worker.v2")
}

func replacing(a *at) {
	a.apply("blog", a.group(1, "worker", 2))
	before := ids(a.await("blog", "worker.v1", "worker.v1"))
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	changes := a.Scheduler.Watch(ctx)
	if err := a.Scheduler.Replace(a.Context(), "blog", []string{before[0], "blog-worker-0000000000-nobod"}); err != nil {
		a.Fatalf("Replace: %v", err)
	}
	a.apply("blog", a.group(1, "worker", 2)) // says nothing new
	for range changes {
		up := 0
		all := a.instances("blog")
		for _, i := range all {
			if i.State == platform.InstanceUp {
				up++
			}
		}
		if up < 2 {
			a.Errorf("during the replacement there were %+v", all)
		}
		if len(all) == 2 && !slices.Contains(ids(all), before[0]) {
			break
		}
	}
	if after := ids(a.await("blog", "worker.v1", "worker.v1")); !slices.Contains(after, before[1]) || slices.Contains(after, before[0]) {
		a.Errorf("%v became %v, to be replaced was %s", before, after, before[0])
	}
}

func watching(a *at) {
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	one, two := a.Scheduler.Watch(ctx), a.Scheduler.Watch(ctx)
	a.apply("blog", a.group(1, "worker", 1))
	for _, changes := range []func(func(string) bool){one, two} {
		told := ""
		for app := range changes {
			told = app
			break
		}
		if told != "blog" {
			a.Errorf("a watcher was told of %q", told)
		}
	}
}

func running(a *at) {
	var out, errs bytes.Buffer
	exit := a.mustRun(a.spec("cat; echo oops >&2; exit 7"), platform.IO{
		Stdin: strings.NewReader("in and out"), Stdout: &out, Stderr: &errs,
	})
	if exit != 7 || out.String() != "in and out" || errs.String() != "oops\n" {
		a.Errorf("it exited with %d and said %q and %q", exit, out.String(), errs.String())
	}
	var both bytes.Buffer
	a.mustRun(a.spec("for i in 1 2 3; do echo $i; echo -$i >&2; done"), platform.IO{Stdout: &both, Merged: true})
	if both.String() != "1\n-1\n2\n-2\n3\n-3\n" {
		a.Errorf("merged it said %q", both.String())
	}
	if exit := a.mustRun(a.spec("kill -TERM $$; sleep 10"), platform.IO{}); exit != 128+15 {
		a.Errorf("one that SIGTERM ended exited with %d", exit)
	}
	if all := a.instances("blog"); len(all) != 0 {
		a.Errorf("a run is among the instances: %+v", all)
	}
}

func runningUntil(a *at) {
	ctx, cancel := context.WithCancel(a.Context())
	defer cancel()
	began := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	_, err := a.Scheduler.Run(ctx, once(a.spec("echo began; exec sleep 1000")), platform.IO{Stdout: began})
	if !isOver(err) {
		a.Errorf("Run = %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
