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

// Of the requests, and of what is expected.
var share = []float64{0.10, 0.20, 0.40, 0.30}

const (
	users       = 5000
	clientWaits = time.Second            // then it goes
	slo         = 500 * time.Millisecond // an answer after it is of no use
)

// outcome is one request. Its latency is from when it was due, not from when
// the generator came to send it.
type outcome struct {
	due     time.Duration
	latency time.Duration
	class   int
	ok      bool
}

// clients send requests at a rate, whether or not earlier ones were answered.
type clients struct {
	url  string
	http *http.Client
	rnd  *rand.Rand

	mu   sync.Mutex
	done []outcome
	wait sync.WaitGroup
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

// run sends at rate(t) requests a second until length is over, and waits for
// the last.
func (c *clients) run(rate func(time.Duration) float64, length time.Duration) []outcome {
	start, due := time.Now(), time.Duration(0)
	for due < length {
		time.Sleep(time.Until(start.Add(due)))
		for time.Since(start) >= due && due < length { // as many as have become due
			c.wait.Add(1)
			go c.one(start, due, c.class(), int(float64(users)*math.Pow(c.rnd.Float64(), 2)))
			due += time.Duration(c.rnd.ExpFloat64() / rate(due) * float64(time.Second))
		}
	}
	c.wait.Wait()
	c.http.CloseIdleConnections()
	return c.done
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

func (c *clients) one(start time.Time, due time.Duration, class, user int) {
	defer c.wait.Done()
	ctx, cancel := context.WithDeadline(context.Background(), start.Add(due+clientWaits))
	defer cancel()
	ok := c.ask(ctx, class, user)
	o := outcome{due, time.Since(start) - due, class, ok}
	c.mu.Lock()
	c.done = append(c.done, o)
	c.mu.Unlock()
}

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
