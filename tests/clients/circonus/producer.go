// Sends metrics of every type with Circonus' own client for Go, once, and says how many the receiver says it took.
//
// usage: producer SUBMISSION-URL
package main

import (
	"log"
	"os"

	circonus "github.com/circonus-labs/circonus-gometrics"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatalf("usage: %s SUBMISSION-URL", os.Args[0])
	}
	config := &circonus.Config{}
	config.CheckManager.Check.SubmissionURL = os.Args[1]
	// Nothing is sent by itself: Flush below is the only submission.
	config.Interval = "0"
	// The client tells the count of the reply only when it debugs.
	config.Debug = true
	config.Log = log.New(os.Stdout, "", 0)
	client, err := circonus.New(config)
	if err != nil {
		log.Fatal(err)
	}
	client.IncrementByValue("requests", 1<<53+1)
	client.Gauge("load", 0.25)
	client.Gauge("small", int32(-7))
	client.Gauge("queue`depth", uint64(12))
	client.SetText("state", "fine, \"quoted\"")
	client.RecordValue("latency", 1.5)
	// b"ZW52" is `env`, b"cHJvZA==" is `prod`: how newer clients spell the tag env:prod.
	client.Gauge(`errors|ST[b"ZW52":b"cHJvZA=="]`, int64(3))
	client.Flush()
}
