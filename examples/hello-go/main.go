// Command hello-go says hello and which version of it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const version = "1"

func main() {
	greeting := os.Getenv("GREETING")
	if greeting == "" {
		greeting = "Hello"
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from Go, version %s, release %s\n", greeting, version, os.Getenv("WORKFLOW_RELEASE"))
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "5000"
	}
	server := &http.Server{Addr: ":" + port, ReadHeaderTimeout: 10 * time.Second}

	// On SIGTERM requests under way are finished, then the process ends.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	log.Printf("version %s listens on port %s", version, port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-done
}
