package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"time"
)

type object = map[string]any

// world is the platform and everybody on it.
type world struct {
	edge   string
	people []*person
	tally  *tally
}

// person is one user at work, one thing at a time.
type person struct {
	w        *world
	n        int
	name     string
	token    string
	app      string
	deployed bool
	friend   *person // whose app this one shares
	r        *rand.Rand
	count    int
	// mine and labels are what was accepted last of this user's keys in the
	// friend's config and labels.
	mine, labels map[string]string
}

func (p *person) path(room string) string { return "/v2/apps/" + p.app + "/" + room }

// client reaches the platform's API through its edge.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: 5 * time.Second, DialContext: (&net.Dialer{}).DialContext}}

// ask sends one request and returns what came.
func (p *person) ask(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.w.edge+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Host = "slipway.localhost"
	r.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		r.Header.Set("Authorization", "token "+p.token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.Header.Get("DEIS_API_VERSION") != "2.3" {
		err = fmt.Errorf("DEIS_API_VERSION is %q", resp.Header.Get("DEIS_API_VERSION"))
	}
	return resp.StatusCode, said, err
}

func (p *person) must(ctx context.Context, want int, method, path string, body any) error {
	code, said, err := p.ask(ctx, method, path, body)
	if err == nil && code != want {
		err = fmt.Errorf("%s %s answered %d %s", method, path, code, said)
	}
	return err
}

func (p *person) read(ctx context.Context, path string, into any) error {
	code, said, err := p.ask(ctx, "GET", path, nil)
	if err == nil && code != 200 {
		err = fmt.Errorf("GET %s answered %d %s", path, code, said)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(said, into)
}

func (p *person) login(ctx context.Context) error {
	code, said, err := p.ask(ctx, "POST", "/v2/auth/login/", object{"username": p.name, "password": "soak soak soak"})
	if err != nil || code != 200 {
		return fmt.Errorf("login of %s: %d %s %w", p.name, code, said, err)
	}
	var token struct{ Token string }
	if err := json.Unmarshal(said, &token); err != nil {
		return err
	}
	p.token = token.Token
	return nil
}

// push deploys the tree with git over HTTP.
func (p *person) push(ctx context.Context, tree string) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(tree)); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(p.w.edge)
	if err != nil {
		return err
	}
	remote := fmt.Sprintf("http://%s:%s@git.localhost:%s/%s.git", p.name, p.token, port, p.app)
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"commit", "-q", "-m", "soak"}, {"push", "-q", remote, "main"}} {
		git := exec.CommandContext(ctx, "git", args...)
		git.Dir = dir
		git.Env = append(os.Environ(), "HOME="+dir, "GIT_AUTHOR_NAME=s", "GIT_AUTHOR_EMAIL=s@b.c", "GIT_COMMITTER_NAME=s", "GIT_COMMITTER_EMAIL=s@b.c")
		if said, err := git.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args[0], err, said)
		}
	}
	return nil
}

// allowed is one answer the contract allows: a status, and what the body is like.
type allowed struct {
	status int
	body   string // regular expression; empty: any
}

// want asks and judges the answer. It reports the status.
func (p *person) want(ctx context.Context, name, method, path string, body any, may ...allowed) int {
	began := time.Now()
	code, said, err := p.ask(ctx, method, path, body)
	ok := err == nil && slices.ContainsFunc(may, func(a allowed) bool {
		return a.status == code && (a.body == "" || regexp.MustCompile(a.body).Match(said))
	})
	wrong := ""
	if !ok {
		wrong = fmt.Sprintf("%s: %s %s %v answered %d %.300s %v", p.name, method, path, body, code, said, err)
	}
	p.w.tally.add(name, time.Since(began), wrong)
	return code
}

// tally counts answers and how long they took.
type tally struct {
	mu    sync.Mutex
	took  map[string][]time.Duration
	wrong []string
}

func newTally() *tally { return &tally{took: map[string][]time.Duration{}} }

func (t *tally) add(name string, took time.Duration, wrong string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took[name] = append(t.took[name], took)
	if wrong != "" {
		t.wrong = append(t.wrong, wrong)
		if len(t.wrong) <= 20 {
			fmt.Println("NOT THE CONTRACT'S", wrong)
		}
	}
}

func (t *tally) wrongs() int { return len(t.wrong) }

func (t *tally) print() {
	fmt.Printf("%-18s %8s %9s %9s %9s\n", "what", "answers", "p50 ms", "p99 ms", "max ms")
	total := 0
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range t.took {
			if !yield(name) {
				return
			}
		}
	}) {
		took := t.took[name]
		slices.Sort(took)
		ms := func(q float64) float64 {
			return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
		}
		fmt.Printf("%-18s %8d %9.1f %9.1f %9.1f\n", name, len(took), ms(0.5), ms(0.99), ms(1))
		total += len(took)
	}
	fmt.Printf("%d answers, %d not the contract's\n", total, len(t.wrong))
}
