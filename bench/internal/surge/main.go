// Command surge offers an app of known capacity more than it can do, through
// one proxy after another, and prints what comes of it. Its parts are processes
// of their own: the app, our router, nginx and haproxy, and itself, the clients.
//
//	surge [-loads 1,2,4,10] [-systems off,on,...] [-surge 10s]
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "app":
			exit(serveApp(os.Args[2:]))
		case "router":
			exit(serveRouter(os.Args[2:]))
		}
	}
	exit(run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "surge:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run() error {
	loads := flag.String("loads", "1,2,4,10", "times the capacity")
	names := flag.String("systems", "", "of the table, all when empty")
	length := flag.Duration("surge", 10*time.Second, "how long the surge is")
	port := flag.Int("port", 18100, "the first of ten ports")
	flag.Parse()
	b, err := newBench(*port, *length)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(); err != nil {
		return err
	}
	b.heading()
	for load := range strings.SplitSeq(*loads, ",") {
		times, err := strconv.ParseFloat(load, 64)
		if err != nil {
			return err
		}
		for _, s := range systems {
			if *names != "" && !strings.Contains(","+*names+",", ","+s.key+",") {
				continue
			}
			if err := b.one(s, times); err != nil {
				return fmt.Errorf("%s at %v times: %w", s.name, times, err)
			}
		}
	}
	return b.verdict()
}
