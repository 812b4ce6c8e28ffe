// Command hello-go-deps gives every request a UUID, from a module dependency.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from Go, request %s\n", uuid.New())
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "5000"
	}
	server := &http.Server{Addr: ":" + port, ReadHeaderTimeout: 10 * time.Second}
	log.Printf("listening on port %s", port)
	log.Fatal(server.ListenAndServe())
}
