-- What a plan cannot say, and what a team wants from PostgreSQL: rules that hold whoever writes.
-- Midflight's `prepare` makes the tables; this runs after the backfill, while everybody goes on writing, and may be
-- repeated. Each statement is a transaction of its own: with locks on two tables it could wait in a circle with a writer.
-- NOT VALID takes its lock for a moment only: new rows are checked at once, the old ones by VALIDATE.

alter table members
    drop constraint if exists members_balance_check,
    add constraint members_balance_check check (balance >= 0) not valid;

alter table transactions
    drop constraint if exists transactions_kind_check,
    add constraint transactions_kind_check check (kind in ('opening', 'earn', 'redeem', 'transfer')) not valid,
    drop constraint if exists transactions_status_check,
    add constraint transactions_status_check
        check (status in ('open', 'closed', 'settled') and (status = 'settled') = (settlement_id is not null)) not valid;

alter table transaction_lines
    drop constraint if exists transaction_lines_quantity_check,
    add constraint transaction_lines_quantity_check check (quantity > 0) not valid;

alter table members validate constraint members_balance_check;

alter table transactions validate constraint transactions_kind_check, validate constraint transactions_status_check;

alter table transaction_lines validate constraint transaction_lines_quantity_check;
