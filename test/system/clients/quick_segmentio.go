// The quick start with segmentio/kafka-go; see quick_starts.py.
//
// This release limits a batch by records alone (100 of them are far below 16384 bytes), and a group
// without a commit begins at the earliest record, always.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

func produce(bootstrap, topic string) {
	writer := kafka.NewWriter(kafka.WriterConfig{
		Brokers:      []string{bootstrap},
		Topic:        topic,
		RequiredAcks: -1,
		MaxAttempts:  1,
		BatchSize:    100,
		BatchTimeout: time.Millisecond,
	})
	records := make([]kafka.Message, 100)
	for i := range records {
		text := []byte(strconv.Itoa(i))
		records[i] = kafka.Message{Key: text, Value: text}
	}
	if err := writer.WriteMessages(context.Background(), records...); err != nil {
		log.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		log.Fatal(err)
	}
}

func consume(bootstrap, topic string, count int) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:           []string{bootstrap},
		GroupID:           "srk",
		Topic:             topic,
		MinBytes:          1,
		MaxBytes:          1 << 20,
		MaxWait:           100 * time.Millisecond,
		HeartbeatInterval: 500 * time.Millisecond,
		SessionTimeout:    3 * time.Second,
	})
	for uncommitted := 0; count > 0; count-- {
		record, err := reader.FetchMessage(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("offset = %d, key = %s, value = %s\n", record.Offset, record.Key, record.Value)
		if uncommitted++; uncommitted == 20 {
			if err := reader.CommitMessages(context.Background(), record); err != nil {
				log.Fatal(err)
			}
			uncommitted = 0
		}
	}
	time.Sleep(10 * time.Minute)
}

func main() {
	if os.Args[1] == "produce" {
		produce(os.Args[2], os.Args[3])
		return
	}
	count, _ := strconv.Atoi(os.Args[4])
	consume(os.Args[2], os.Args[3], count)
}
