// Command testcount reads `go test -json` on standard input, prints what failed
// and one closing line of counts, and fails when a test failed, was skipped
// with -strict, or when none ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

var logged = regexp.MustCompile(`^ +\S+_test\.go:\d+: (.*)`)

// printLogs prints what a test said by t.Log.
func printLogs(test, output string) {
	for line := range strings.Lines(output) {
		if m := logged.FindStringSubmatch(line); m != nil {
			fmt.Printf("%s: %s\n", test, m[1])
		}
	}
}

func main() {
	strict := flag.Bool("strict", false, "a skipped test is a failure")
	logs := flag.Bool("logs", false, "print what tests that passed have logged: figures")
	flag.Parse()
	output := map[string]*strings.Builder{}
	counts := map[string]int{}
	var failed, skipped []string
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // the compiler speaks plain text
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
			if e.Action == "build-output" {
				fmt.Print(e.Output)
			}
		case "pass", "fail", "skip":
			if e.Test == "" {
				if e.Action != "skip" {
					fmt.Printf("%-5s %-24s %7.1fs\n", e.Action, e.Package, e.Elapsed)
				}
				if e.Action == "fail" {
					failed = append(failed, key)
				}
			} else {
				counts[e.Action]++
				if e.Action == "fail" {
					failed = append(failed, key)
				}
				if e.Action == "skip" {
					skipped = append(skipped, key)
				}
			}
			if e.Action == "pass" && e.Test != "" {
				if *logs && output[key] != nil {
					printLogs(e.Test, output[key].String())
				}
				delete(output, key)
			}
		}
	}
	for _, key := range failed {
		if b := output[key]; b != nil {
			fmt.Printf("\n--- FAIL %s\n%s", key, b)
		}
	}
	for _, key := range skipped {
		fmt.Printf("skipped: %s\n", key)
		if b := output[key]; b != nil {
			fmt.Print(b)
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", counts["pass"], counts["fail"], counts["skip"])
	if len(failed) > 0 || counts["pass"] == 0 || *strict && len(skipped) > 0 {
		os.Exit(1)
	}
}
