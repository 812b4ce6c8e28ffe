// The program of an image made from scratch: no shell, no library, one file.
package main

import (
	"fmt"
	"net/http"
	"os"
)

var kept [][]byte

func main() {
	version := "?"
	if len(os.Args) > 1 {
		version = os.Args[1]
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s %s version %s\n", os.Getenv("DEIS_APP"), os.Getenv("WORKFLOW_RELEASE"), version)
	})
	http.HandleFunc("/eat", func(w http.ResponseWriter, _ *http.Request) {
		for range 512 { // MiB
			piece := make([]byte, 1<<20)
			for i := 0; i < len(piece); i += 4096 {
				piece[i] = 1
			}
			kept = append(kept, piece)
		}
		fmt.Fprintln(w, "unhurt")
	})
	if err := http.ListenAndServe(":"+os.Getenv("PORT"), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
