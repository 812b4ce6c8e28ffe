// App is what the tests deploy: a web server that does as it is told.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if ms, _ := strconv.Atoi(r.FormValue("ms")); ms > 0 {
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		if gate := r.FormValue("gate"); gate != "" {
			waitAt(gate)
		}
		if bad.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintf(w, "%s %d", os.Getenv("VERSION"), os.Getpid())
	})
	mux.HandleFunc("/id", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv("ONCE")+started) })
	mux.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) { fmt.Println("told to exit"); os.Exit(3) })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, r *http.Request) { bad.Store(true) })
	mux.HandleFunc("/sick", func(w http.ResponseWriter, r *http.Request) { sick = true })
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		if sick {
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	})
	server := &http.Server{Addr: ":" + os.Getenv("PORT"), Handler: mux}
	go func() {
		<-ctx.Done()
		fmt.Println("terminating")
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
		os.Exit(0)
	}()
	fmt.Println("listening")
	fmt.Println(server.ListenAndServe())
	select {}
}

// waitAt returns when the test has opened the gate.
func waitAt(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Read(make([]byte, 1))
}

var (
	started = strconv.FormatInt(time.Now().UnixNano(), 36)
	sick    bool
	bad     atomic.Bool
)
