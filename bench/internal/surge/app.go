package main

import (
	"context"
	"flag"
	"math"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	workers = 8
	service = 40 * time.Millisecond // mean, lognormal
	spread  = 0.3
)

// serveApp is an app of a few workers. It serves what came in the order it
// came, also for clients that have gone: as most apps do.
func serveApp(args []string) error {
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	listen := flags.String("listen", "", "address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	queue := make(chan chan struct{}, 1<<20)
	for range workers {
		go func() {
			for done := range queue {
				time.Sleep(time.Duration(float64(service) * math.Exp(rand.NormFloat64()*spread-spread*spread/2)))
				close(done)
			}
		}()
	}
	server := &http.Server{Addr: *listen, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" {
			return
		}
		done := make(chan struct{})
		queue <- done
		<-done
		_, _ = w.Write([]byte("served\n")) // the client may have gone
	})}
	return server.ListenAndServe()
}

// ready waits until an address answers.
func ready(ctx context.Context, url string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
