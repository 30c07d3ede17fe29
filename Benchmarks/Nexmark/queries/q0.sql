-- Pass through: what reading costs.
CREATE TABLE result (auction BIGINT, bidder BIGINT, price BIGINT, dateTime TIMESTAMP(3), extra STRING) WITH (${SINK});
INSERT INTO result SELECT auction, bidder, price, dateTime, extra FROM bid;
