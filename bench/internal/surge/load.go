package main

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

var classNames = []string{"critical", "normal", "bulk", "background"}

// share of the classes among the tasks.
var share = []float64{0.10, 0.20, 0.40, 0.30}

const (
	users       = 5000
	clientWaits = time.Second            // then it goes
	thinks      = 100 * time.Millisecond // between two calls of a task
	slo         = 500 * time.Millisecond // an answer after it is of no use
)

// outcome is one call. Its latency is from when it was due, not from when the
// generator came to send it.
type outcome struct {
	due     time.Duration
	latency time.Duration
	task    *task
	ok      bool
}

// task is k calls of one user, one after the other, as a page is. It is of use
// when all succeed.
type task struct {
	class, user int
	k, left     int
	began       time.Duration
	from        time.Duration // when it may go on
	failed      bool
}

func (t *task) whole() bool { return t.left == 0 && !t.failed }

// clients make calls at a rate, whether or not earlier ones were answered: who
// has another to make makes it at the next moment that one is due.
type clients struct {
	url  string
	http *http.Client
	rnd  *rand.Rand

	mu    sync.Mutex
	done  []outcome
	tasks []*task
	ready []*task // with another call to make
	wait  sync.WaitGroup
}

func newClients(address string) *clients {
	dialer := &net.Dialer{Timeout: clientWaits}
	return &clients{
		url: "http://" + address + "/", rnd: rand.New(rand.NewPCG(1, 2)),
		http: &http.Client{Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, DisableCompression: true,
		}},
	}
}

// run calls at rate(t) a second until length is over, and waits for the last.
func (c *clients) run(rate func(time.Duration) float64, length time.Duration) []outcome {
	start, due := time.Now(), time.Duration(0)
	for due < length {
		time.Sleep(time.Until(start.Add(due)))
		for time.Since(start) >= due && due < length { // as many as have become due
			c.wait.Add(1)
			go c.one(start, due, c.next(due))
			due += time.Duration(c.rnd.ExpFloat64() / rate(due) * float64(time.Second))
		}
	}
	c.wait.Wait()
	c.http.CloseIdleConnections()
	return c.done
}

// next is whose call is due: of who waits to go on, else of somebody new.
func (c *clients) next(due time.Duration) *task {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) > 0 && c.ready[0].from <= due {
		t := c.ready[0]
		c.ready = c.ready[1:]
		return t
	}
	k := []int{1, 2, 4}[c.rnd.IntN(3)]
	t := &task{class: c.class(), user: int(float64(users) * math.Pow(c.rnd.Float64(), 2)), k: k, left: k, began: due}
	c.tasks = append(c.tasks, t)
	return t
}

func (c *clients) class() int {
	x := c.rnd.Float64()
	for class, p := range share {
		if x -= p; x < 0 {
			return class
		}
	}
	return len(share) - 1
}

func (c *clients) one(start time.Time, due time.Duration, t *task) {
	defer c.wait.Done()
	ctx, cancel := context.WithDeadline(context.Background(), start.Add(due+clientWaits))
	defer cancel()
	ok := c.ask(ctx, t.class, t.user)
	o := outcome{due, time.Since(start) - due, t, ok}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, o)
	t.left--
	t.from = due + o.latency + thinks // or it would come just when its slot is free again
	if t.failed = !o.good(); !t.failed && t.left > 0 {
		c.ready = append(c.ready, t)
	}
}

// good is an answer that came while it was of use.
func (o outcome) good() bool { return o.ok && o.latency <= slo }

func (c *clients) ask(ctx context.Context, class, user int) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return false
	}
	req.Host = "app.localhost"
	req.Header.Set("User-Agent", "surge")
	req.Header.Set("X-Class", classNames[class])
	req.Header.Set("Cookie", "user="+strconv.Itoa(user))
	res, err := c.http.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusOK
}
