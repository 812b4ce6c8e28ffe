// Command surge offers an app of known capacity more than it can do, through
// one proxy after another, and prints what comes of it. Its parts are processes
// of their own: the app, our router, nginx and haproxy, and itself, the clients.
//
//	surge [-short] [-loads 1,2,4,10] [-systems off,told,...] [-surge 8s] [-strict]
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
	names := flag.String("systems", "off,told,found,nginxlimit,haproxy100", "of the table; nginx and haproxy1s are there too")
	length := flag.Duration("surge", 8*time.Second, "how long the surge is")
	short := flag.Bool("short", false, "only this router, at 4 and 10 times, in a minute and a half")
	strict := flag.Bool("strict", false, "exit 1 when an aim is missed")
	port := flag.Int("port", 18100, "the first of ten ports")
	flag.Parse()
	if *short {
		*loads, *names = "4,10", "told,found"
	}
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
			if !strings.Contains(","+*names+",", ","+s.key+",") {
				continue
			}
			if err := b.one(s, times); err != nil {
				return fmt.Errorf("%s at %v times: %w", s.name, times, err)
			}
		}
	}
	return b.verdict(*strict)
}
