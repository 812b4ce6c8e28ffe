package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// hooks is a worker that serves when it is told a port.
const hooks = `[ -n "$PORT" ] || exec sleep 1000; export DEIS_APP=hooks; exec ` + hello

// ask is what the edge answers for a path of the blog: "200 blog v2".
func (p *place) ask(path string) string {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+p.edge+path, http.NoBody)
	if err != nil {
		return err.Error()
	}
	request.Host = "blog.localhost"
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", response.StatusCode, text)
}

// askOften asks for a path until the returned function is called, which tells
// every answer that came, once each, in order of the first.
func (p *place) askOften(path string) (end func() []string) {
	ctx, stop := context.WithCancel(context.Background())
	var visitors sync.WaitGroup
	var mu sync.Mutex
	answers := []string{p.ask(path)} // what is so before anything changes
	for range 3 {
		visitors.Go(func() {
			for ctx.Err() == nil {
				answer := p.ask(path)
				mu.Lock()
				if !slices.Contains(answers, answer) {
					answers = append(answers, answer)
				}
				mu.Unlock()
			}
		})
	}
	return func() []string {
		stop()
		visitors.Wait()
		return answers
	}
}

// running lists the instances of a process type that stay, by name.
func (p *place) running(caller platform.Caller, process string) (ids []string) {
	p.t.Helper()
	for _, i := range must(p.Instances(p.t.Context(), caller, "blog", process, ""))(p.t) {
		if i.State == platform.InstanceUp {
			ids = append(ids, i.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestAServiceTakesItsPathsFromWebAndGivesThemBackWithoutDroppingARequest(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	bob := p.user("bob")
	p.app(bob, "blog")
	if err := p.push(bob, "blog", "1234567890", map[string]string{"web": hello, "hooks": hooks}); err != nil {
		t.Fatal(err)
	}
	if err := p.Scale(t.Context(), bob, "blog", map[string]int{"hooks": 2}); err != nil {
		t.Fatal(err)
	}
	before := p.running(bob, "hooks")
	end := p.askOften("/users/7/hook?a=b")
	if changed, err := p.SetService(t.Context(), bob, "blog", "hooks", `~ ^/users/[0-9]+/hook,/notify`); err != nil || !changed {
		t.Fatal(changed, err)
	}
	after := p.running(bob, "hooks")
	if len(before) != 2 || len(after) != 2 || before[0] == after[0] {
		t.Errorf("running were %q, are %q", before, after)
	}
	for path, want := range map[string]string{"/users/7/hook": "200 hooks v2", "/notify/x": "200 hooks v2", "/users/x/hook": "200 blog v2", "/": "200 blog v2"} {
		if got := p.ask(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if answers := end(); !slices.Equal(answers, []string{"200 blog v2", "200 hooks v2"}) {
		t.Errorf("while the service came, the answers were %q", answers)
	}
	if changed, err := p.SetService(t.Context(), bob, "blog", "hooks", `~ ^/users/[0-9]+/hook,/notify`); err != nil || changed {
		t.Errorf("the same again: %t, %v", changed, err)
	}

	end = p.askOften("/notify")
	if err := p.push(bob, "blog", "2234567890", map[string]string{"web": hello, "hooks": hooks}); err != nil {
		t.Fatal(err)
	}
	if answers := end(); !slices.Equal(answers, []string{"200 hooks v2", "200 hooks v3"}) {
		t.Errorf("while a release came, the answers were %q", answers)
	}

	end = p.askOften("/notify")
	if err := p.RemoveService(t.Context(), bob, "blog", "hooks"); err != nil {
		t.Fatal(err)
	}
	if got := p.ask("/notify"); got != "200 blog v3" {
		t.Errorf("removed, the path answers %s", got)
	}
	if answers := end(); !slices.Equal(answers, []string{"200 hooks v3", "200 blog v3"}) {
		t.Errorf("while the service went, the answers were %q", answers)
	}
	var missing *platform.NotFoundError
	if err := p.RemoveService(t.Context(), bob, "blog", "hooks"); !errors.As(err, &missing) || missing.Kind != "Service" {
		t.Errorf("removed again: %v", err)
	}
	events := p.eventsOf("blog")
	for _, want := range []string{`service.changed bob pattern=~ ^/users/[0-9]+/hook,/notify process=hooks`, "service.removed bob process=hooks"} {
		if !slices.Contains(events, want) {
			t.Errorf("%q is not among the events %q", want, events)
		}
	}
}

func TestAServiceOfAWorkerThatDoesNotListenIsTakenBackAndTheWorkerRunsOn(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	bob := p.user("bob")
	p.app(bob, "blog")
	if err := p.push(bob, "blog", "1234567890", map[string]string{"web": hello, "worker": "exec sleep 1000"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Scale(t.Context(), bob, "blog", map[string]int{"worker": 1}); err != nil {
		t.Fatal(err)
	}
	before := p.running(bob, "worker")
	p.Close()
	p.options.DeployTimeout = 3 * time.Second // for those that will never listen alone
	p.start()
	end := p.askOften("/work")
	_, err := p.SetService(t.Context(), bob, "blog", "worker", "/work")
	if !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "(services): only 0 of 1 worker are up with an address") {
		t.Errorf("got %v", err)
	}
	if answers := end(); !slices.Equal(answers, []string{"200 blog v2"}) {
		t.Errorf("the answers were %q", answers)
	}
	if services := must(p.Services(t.Context(), bob, "blog"))(t); len(services) != 0 {
		t.Errorf("left are %+v", services)
	}
	if after := p.running(bob, "worker"); !slices.Equal(after, before) {
		t.Errorf("running were %q, are %q", before, after)
	}
}

func TestAServiceMayComeBeforeItsProcessType(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	if changed, err := p.SetService(t.Context(), bob, "blog", "later", "= /later, ^/x"); err != nil || !changed {
		t.Fatal(changed, err)
	}
	services := must(p.Services(t.Context(), bob, "blog"))(t)
	if len(services) != 1 || services[0].Pattern != "= /later, ^/x" || services[0].Owner != "bob" {
		t.Errorf("services are %+v", services)
	}
	paths := p.fleet.Route("blog").Paths
	if len(paths) != 1 || paths[0].Process != "later" || !slices.Equal(paths[0].Patterns, []string{"= /later", "~ ^/x"}) {
		t.Errorf("the route's paths are %+v", paths)
	}
}

func TestAServiceThatRoutersCannotMatchIsRefused(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	if _, err := p.SetService(t.Context(), bob, "blog", "heavy", "~ (x?){100}y"); err != nil {
		t.Fatal(err)
	}
	const refused = "path_pattern: Service value should be valid regex (or set of regex split by comma)"
	for name, test := range map[string]struct{ process, pattern, words string }{
		"nothing":          {"hooks", "", refused},
		"an empty one":     {"hooks", "/a,,/b", refused},
		"no path":          {"hooks", "notify", refused},
		"no exact path":    {"hooks", "= notify", refused},
		"no expression":    {"hooks", "~", refused},
		"a broken one":     {"hooks", "~ ^/users/([0-9]+", refused},
		"looking ahead":    {"hooks", "~ ^/(?!users)", refused},
		"a line end":       {"hooks", "/a\n", refused},
		"too long":         {"hooks", "/" + strings.Repeat("a", 5000), refused},
		"one too long":     {"hooks", "/" + strings.Repeat("a", 1024), refused},
		"too many":         {"hooks", strings.Repeat("/a,", 20) + "/a", "path_pattern: A service has at most 20 patterns."},
		"too heavy":        {"hooks", "~ (x{1000}){1000}", refused},
		"heavy all in all": {"hooks", "~ (x?){100}y", "path_pattern: The regular expressions of this app are too large to be matched quickly."},
		"no process type":  {"Hooks", "/a", "procfile_type: Process types can only contain lowercase alphanumeric characters"},
		"a one-off":        {"run", "/a", "procfile_type: Process types can only contain lowercase alphanumeric characters"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.SetService(t.Context(), bob, "blog", test.process, test.pattern)
			says(t, err, platform.ErrInvalid, test.words)
		})
	}
}

func TestACommandRunsInsideTheInstanceThatIsNamed(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	bob := p.user("bob")
	p.app(bob, "blog")
	if err := p.push(bob, "blog", "1234567890", map[string]string{"web": hello}); err != nil {
		t.Fatal(err)
	}
	id := p.running(bob, "web")[0]
	for _, name := range []string{id, strings.TrimPrefix(id, "blog-")} {
		var out bytes.Buffer
		exit, err := p.Exec(t.Context(), bob, "blog", name, `echo "$DEIS_APP $PORT" in $0; exit 7`, platform.IO{Stdout: &out, Stderr: &out})
		if err != nil || exit != 7 || !strings.HasPrefix(out.String(), "blog ") || strings.HasPrefix(out.String(), "blog  ") || !strings.HasSuffix(out.String(), "in bash\n") {
			t.Errorf("in %s: %q, exit %d, %v", name, out.String(), exit, err)
		}
	}
	if _, err := p.Exec(t.Context(), bob, "blog", id, "TOKEN=hunter2 curl hunter3", platform.IO{}); err != nil {
		t.Error(err)
	}
	var missing *platform.NotFoundError
	if _, err := p.Exec(t.Context(), bob, "blog", "web-1234567890-aaaaa", "id", platform.IO{}); !errors.As(err, &missing) {
		t.Errorf("in none: %v", err)
	}
	if _, err := p.Exec(t.Context(), bob, "blog", id, " ", platform.IO{}); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("nothing: %v", err)
	}
	if text := p.logged("blog"); !strings.Contains(text, "INFO bob on "+id+" runs 'TOKEN=hunter2 curl hunter3'") {
		t.Errorf("the log is\n%s", text)
	}
	events := p.eventsOf("blog")
	if !slices.Contains(events, "command.executed bob command=echo instance="+id) || strings.Contains(strings.Join(events, "\n"), "hunter") {
		t.Errorf("events: %q", events)
	}
}
